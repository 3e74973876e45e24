/* Asks the Jupyter server, which asks the labs: what is there, and a vote. It knows nothing of the screen. */

const AGAIN = 3000; // milliseconds until the next try when the server did not answer

export class Client {
  /** `request(path, init)` gives a fetch Response, with the server's own credentials. */
  constructor(request) {
    this.request = request;
    this.stopped = false;
  }

  async json(path, init = {}) {
    const response = await this.request(path, init);
    const data = await response.json().catch(() => ({}));
    if (response.ok) return data;
    throw new Error([data.error ?? data.message ?? response.statusText, data.fix].filter(Boolean).join('; '));
  }

  /** Calls `seen(state)` with each new state, and `seen(null, error)` while the server does not answer. */
  async follow(seen) {
    let tag = '';
    while (!this.stopped) {
      try {
        const state = await this.json(`state?after=${encodeURIComponent(tag)}`);
        if (state.tag !== tag) seen(state);
        tag = state.tag;
      } catch (error) {
        seen(null, error);
        tag = '';
        await new Promise(resolve => setTimeout(resolve, AGAIN));
      }
    }
  }

  vote(lab, card, choice, reason) {
    const body = { lab, proposal: card.id, choice, reason, seen: card.seen };
    return this.json('vote', { method: 'POST', body: JSON.stringify(body) });
  }

  /** Where the dashboard of a lab is, as the agent that this browser's user is. */
  async dashboard(lab) {
    return (await this.json(`dashboard?lab=${encodeURIComponent(lab)}`)).url;
  }
}
