/* What JupyterLab loads at its start: a container of module federation, as https://webpack.js.org/concepts/module-federation
 * describes it, written by hand. `init` gets the modules that JupyterLab shares; `get` gives the plugins. So the files
 * here are what the browser runs: there is nothing to compile, and no node is needed to build or to change them. */
{
  const here = document.currentScript.src.replace(/[^/]*$/, '');
  let scope = {};

  /** A module that JupyterLab shares; of several versions, the one that it shares at the front. */
  const shared = async name => {
    const versions = scope[name];
    if (versions === undefined) throw new Error(`hexdag-lab needs ${name}, which this JupyterLab does not share`);
    const order = new Intl.Collator('en', { numeric: true }).compare;
    const newest = Object.keys(versions).sort(order).at(-1);
    return (await versions[newest].get())();
  };

  window._JUPYTERLAB = window._JUPYTERLAB ?? {};
  window._JUPYTERLAB['hexdag-lab'] = {
    init(given) {
      scope = given;
    },
    async get(name) {
      if (name !== './extension') throw new Error(`hexdag-lab has no module ${name}`);
      const { plugin } = await import(`${here}extension.js`);
      const found = await plugin(shared, `${here}style.css`);
      return () => ({ __esModule: true, default: found });
    }
  };
}
