/* The plugin: a side bar with a badge, a toast for what is new, an item in the status bar, and a command, a tile and a
 * palette entry that open a lab's dashboard in a tab. What they show is the Jupyter server's to say (client.js). */

import { Client } from './client.js';
import { showPictures } from './pictures.js';
import { sidebar } from './sidebar.js';

const SIDEBAR = 'hexdag-lab:sidebar';
const BADGE = 'hexdag-waiting'; // of the side bar's tab; style.css draws it
const DASHBOARD = 'hexdag-lab:dashboard';
const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" width="16"><path class="jp-icon3" fill="#616161"
  fill-rule="evenodd" d="M12 1.5 21.1 6.7v10.6L12 22.5 2.9 17.3V6.7zM12 3.8 4.9 7.9v8.2l7.1 4.1 7.1-4.1V7.9zM12 6.4a2.1 2.1 0 1 1
  0 4.2 2.1 2.1 0 0 1 0-4.2zM8.4 12.9a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2zM15.6 12.9a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2z"
  /></svg>`;

export async function plugin(shared, style) {
  const names = ['application', 'apputils', 'coreutils', 'launcher', 'notebook', 'services', 'statusbar', 'ui-components'];
  const modules = await Promise.all(names.map(name => shared(`@jupyterlab/${name}`)));
  const [application, apputils, coreutils, launcher, notebook, services, statusbar, ui] = modules;
  const { Widget } = await shared('@lumino/widgets');
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href: style }));

  return {
    id: 'hexdag-lab:plugin',
    description: 'Runs and pending approvals of the labs on this machine.',
    autoStart: true,
    optional: [
      application.ILayoutRestorer, launcher.ILauncher, statusbar.IStatusBar, apputils.ICommandPalette, notebook.INotebookTracker
    ],
    activate(app, restorer, tiles, bar, palette, notebooks) {
      const icon = new ui.LabIcon({ name: 'hexdag-lab:icon', svgstr: ICON });
      const client = new Client(requester(services, coreutils));
      const news = new News();
      const view = sidebar({
        vote: (...ballot) => client.vote(...ballot),
        dashboard: lab => app.commands.execute(DASHBOARD, { lab })
      });

      const side = new Widget({ node: view.node });
      side.id = SIDEBAR;
      side.title.icon = icon;
      side.title.caption = 'hexdag-lab: runs and approvals';
      app.shell.add(side, 'left', { rank: 900 });
      restorer?.add(side, SIDEBAR);
      const review = proposal => {
        app.shell.activateById(SIDEBAR);
        if (proposal) view.reveal(proposal);
      };
      app.commands.addCommand('hexdag-lab:review', { label: 'Show pending approvals', icon, execute: () => review() });
      addDashboard(app, apputils, client, news, icon, restorer);
      tiles?.add({ command: DASHBOARD, category: 'Other', rank: 900 });
      palette?.addItem({ command: DASHBOARD, category: 'hexdag-lab' });
      palette?.addItem({ command: 'hexdag-lab:review', category: 'hexdag-lab' });
      const status = statusItem(Widget, () => review());
      bar?.registerStatusItem('hexdag-lab:status', { item: status, align: 'left', rank: 90 });

      client.follow((state, error) => {
        view.update(state, error);
        if (state === null) return;
        for (const card of news.take(state)) toast(apputils, card, review);
        const { running, waiting } = news;
        const { [BADGE]: _, ...others } = side.title.dataset;
        side.title.dataset = waiting ? { ...others, [BADGE]: String(waiting) } : others;
        side.title.caption = waiting ? `hexdag-lab: ${waiting} need your decision` : 'hexdag-lab: runs and approvals';
        status.node.textContent = running || waiting ? `⬡ ${running} running${waiting ? ` · ${waiting} need you` : ''}` : '';
      });
      setInterval(() => view.tick(), 1000);
      if (notebooks) showPictures(notebooks);
    }
  };
}

/** What a state says beyond the last one: the cards that are new and may be voted on, and two counts. */
class News {
  constructor() {
    this.labs = [];
    this.seen = null;
    this.running = this.waiting = 0;
  }

  take(state) {
    this.labs = state.labs;
    const cards = state.labs.flatMap(lab => lab.inbox).filter(card => card.may_vote);
    const fresh = cards.filter(card => this.seen !== null && !this.seen.has(card.id));
    this.seen = new Set(cards.map(card => card.id));
    this.running = state.labs.flatMap(lab => lab.runs).filter(run => run.led && run.status === 'RUNNING').length;
    this.waiting = cards.length;
    return fresh;
  }
}

function requester(services, coreutils) {
  const settings = services.ServerConnection.makeSettings();
  const base = coreutils.URLExt.join(settings.baseUrl, 'hexdag-lab/');
  return (path, init) => services.ServerConnection.makeRequest(base + path, init, settings);
}

function toast(apputils, card, review) {
  const actions = [{ label: 'Review', displayType: 'accent', callback: () => review(card.id) }];
  apputils.Notification.info(card.title, { autoClose: 15000, actions });
}

function statusItem(Widget, review) {
  const node = Object.assign(document.createElement('button'), { className: 'hexdag-status', type: 'button', onclick: review });
  node.title = 'hexdag-lab: show pending approvals';
  return new Widget({ node });
}

/** The command that opens a lab's dashboard in a tab, which is there again after a reload. */
function addDashboard(app, apputils, client, news, icon, restorer) {
  const tracker = new apputils.WidgetTracker({ namespace: 'hexdag-lab' });
  const labs = new WeakMap();
  app.commands.addCommand(DASHBOARD, {
    label: ({ isPalette }) => (isPalette ? 'Open the dashboard' : 'hexdag-lab dashboard'),
    caption: 'Graph, proposals, versions, agents and workers of a lab',
    icon,
    async execute({ lab } = {}) {
      const chosen = lab ?? (await choose(apputils, news.labs));
      if (chosen === undefined) return;
      const open = tracker.find(widget => labs.get(widget) === chosen);
      if (open) return app.shell.activateById(open.id);
      const content = new apputils.IFrame({ sandbox: ['allow-scripts', 'allow-same-origin', 'allow-forms', 'allow-downloads'] });
      const widget = new apputils.MainAreaWidget({ content });
      widget.id = `hexdag-lab-dashboard-${chosen}`;
      widget.title.label = news.labs.find(found => found.id === chosen)?.name ?? 'hexdag-lab';
      widget.title.icon = icon;
      widget.title.closable = true;
      labs.set(widget, chosen);
      try {
        content.url = await client.dashboard(chosen);
      } catch (error) {
        apputils.Notification.error(`hexdag-lab: ${error.message}`, { autoClose: 15000 });
        return;
      }
      app.shell.add(widget, 'main');
      await tracker.add(widget);
      app.shell.activateById(widget.id);
    }
  });
  restorer?.restore(tracker, {
    command: DASHBOARD,
    args: widget => ({ lab: labs.get(widget) }),
    name: widget => labs.get(widget)
  });
}

async function choose(apputils, labs) {
  if (labs.length === 0) {
    apputils.Notification.info('hexdag-lab: no lab is going on here; hx.Lab() in a notebook opens one', { autoClose: 8000 });
    return undefined;
  }
  if (labs.length === 1) return labs[0].id;
  const items = labs.map(lab => `${lab.name} (${lab.where})`);
  const { value } = await apputils.InputDialog.getItem({ title: 'Which lab?', items });
  return value === null ? undefined : labs[items.indexOf(value)].id;
}
