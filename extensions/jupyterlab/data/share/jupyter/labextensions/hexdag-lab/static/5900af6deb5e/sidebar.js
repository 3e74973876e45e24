/* The side bar: for each lab of this machine its runs, and the proposals that wait for a decision. */

import { cardView } from './card.js';
import { el, Kept, place } from './dom.js';

const SHAPES = { RUNNING: '▶', PAUSED: '⏸', SUCCEEDED: '✓', FAILED: '✕', CANCELLED: '∅' };
const LATEST = 8; // runs of a lab that are shown, the latest first

/** `acts`: vote(lab, card, choice, reason), dashboard(lab). */
export function sidebar(acts) {
  const said = el('div.hexdag-said', { role: 'status' }, 'looking for labs …');
  const list = el('div');
  const node = el('div.hexdag-sidebar', {}, said, list);
  const labs = new Kept(lab => labView(lab, acts));

  return {
    node,
    tick: () => labs.parts.forEach(lab => lab.tick()),
    reveal(proposal) {
      const found = node.querySelector(`[data-proposal="${CSS.escape(proposal)}"]`);
      found?.scrollIntoView({ block: 'center' });
      found?.focus();
    },
    update(state, error) {
      if (state === null) {
        said.textContent = `the Jupyter server does not answer: ${error.message}; trying again`;
        return;
      }
      said.textContent = state.labs.length ? '' : 'No lab is going on here. hx.Lab() in a notebook opens one.';
      place(list, labs.of(state.labs, lab => lab.id));
    }
  };
}

function labView(first, acts) {
  const title = el('h2');
  const problem = el('div.hexdag-fails', { role: 'alert' });
  const runs = el('ul.hexdag-runs');
  const waiting = el('div');
  const open = el('button.jp-mod-styled', { type: 'button', onclick: () => acts.dashboard(first.id) }, 'Dashboard');
  const cards = new Kept(card => {
    const view = cardView(card, (...ballot) => acts.vote(first.id, ...ballot));
    view.node.dataset.proposal = card.id;
    return view;
  });
  return {
    node: el('section.hexdag-lab', {}, el('header', {}, title, open), problem, waiting, runs),
    tick: () => cards.parts.forEach(card => card.tick()),
    update(lab) {
      title.textContent = lab.name;
      title.title = lab.where;
      problem.textContent = lab.problem ?? '';
      place(waiting, cards.of(lab.inbox, card => card.id));
      runs.replaceChildren(...lab.runs.slice(-LATEST).reverse().map(runView));
    }
  };
}

function runView(run) {
  const waits = run.open ? ` · ${run.open} open` : '';
  const orphaned = !run.led && (run.status === 'RUNNING' || run.status === 'PAUSED') ? ' · nobody leads it' : '';
  const shape = el('span.hexdag-shape', { ariaHidden: 'true' }, SHAPES[run.status] ?? '');
  const text = `${run.id} v${run.version} ${run.done}/${run.nodes} ${run.status.toLowerCase()}${waits}${orphaned}`;
  return el(`li.hexdag-${run.status.toLowerCase()}`, {}, shape, ` ${text}`);
}
