/* A proposal that waits: what it changes, why, the checks, who is still needed, and three buttons. */

import { el } from './dom.js';

const CHOICES = [
  ['approve', 'Approve', 'primary'],
  ['reject', 'Reject', 'danger'],
  ['request_changes', 'Request changes', 'plain']
];
const SIGNS = { '+': 'added', '-': 'removed', '~': 'changed' };

export function countdown(card, now = Date.now() / 1000) {
  if (card.deadline === null) return '';
  const left = Math.max(0, Math.floor(card.deadline - now));
  const [hours, minutes, seconds] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
  const two = number => String(number).padStart(2, '0');
  return `${card.settles || 'settles itself'} in ${hours ? `${hours}:` : ''}${two(minutes)}:${two(seconds)}`;
}

/** `vote(card, choice, reason)` casts a ballot, and throws what is wrong with it. */
export function cardView(first, vote) {
  let card = first;
  const told = el('div.hexdag-told', { role: 'status' });
  const about = el('div.hexdag-about');
  const time = el('span.hexdag-time');
  const reason = el('input.hexdag-reason', { placeholder: 'reason', ariaLabel: `reason for your vote on ${first.id}` });
  const buttons = CHOICES.map(([choice, label, kind]) =>
    el(`button.jp-mod-styled.hexdag-${kind}`, { type: 'button', ariaLabel: `${label} ${first.id}`, onclick: () => cast(choice) }, label)
  );
  const node = el('article.hexdag-card', { tabIndex: 0, ariaLabel: `proposal ${first.id}` }, about,
    el('div.hexdag-deciding', {}, reason, ...buttons), told);

  async function cast(choice) {
    if (choice === 'request_changes' && reason.value.trim() === '') {
      told.textContent = 'Say in the reason what should change.';
      reason.focus();
      return;
    }
    for (const button of buttons) button.disabled = true;
    told.textContent = '';
    try {
      const answer = await vote(card, choice, reason.value);
      told.textContent = `${answer.state}: ${answer.tally}`;
    } catch (error) {
      told.textContent = error.message;
    } finally {
      for (const button of buttons) button.disabled = !card.may_vote;
    }
  }

  return {
    node,
    tick: () => {
      time.textContent = countdown(card);
    },
    update(next) {
      card = next;
      about.replaceChildren(
        el('h3', {}, card.title),
        el('div.hexdag-dim', {}, `${card.id} · `, time),
        ...(card.reason ? [el('blockquote', {}, card.reason)] : []),
        el('div.hexdag-changes', {}, ...card.changes.map(line => el(`div.hexdag-${SIGNS[line[0]] ?? 'same'}`, {}, line))),
        ...[card.effect, card.estimate, card.outlook, ...card.standing].filter(Boolean).map(text => el('div', {}, text)),
        el('div', {}, ...card.checks.map(({ ok, text }) => el(`span.hexdag-${ok ? 'holds' : 'fails'}`, {}, `${ok ? '✓' : '✕'} ${text} `))),
        el('div.hexdag-tally', {}, [...card.votes, card.tally].join(' — '))
      );
      for (const button of buttons) button.disabled = !card.may_vote;
      reason.disabled = !card.may_vote;
      this.tick();
    }
  };
}
