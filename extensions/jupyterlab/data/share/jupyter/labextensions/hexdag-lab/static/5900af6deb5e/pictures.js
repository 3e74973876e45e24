/* A notebook that is opened without the kernel that made its outputs: the live view of a run is gone with it, and
 * JupyterLab would say that a model is not found. The picture that is saved beside the view is shown instead. */

const VIEW = 'application/vnd.jupyter.widget-view+json';
const PICTURE = 'image/svg+xml';

/** `notebooks`: JupyterLab's tracker of notebooks. */
export function showPictures(notebooks) {
  notebooks.widgetAdded.connect(async (_, panel) => {
    await Promise.all([panel.context.ready, panel.sessionContext.ready]);
    const live = await widgetsOf(panel.sessionContext.session?.kernel);
    const { model } = panel.content;
    const { dirty } = model;
    for (const cell of model.cells) if (cell.type === 'code') withoutViews(cell.outputs, live);
    model.dirty = dirty; // nothing that somebody has written has changed
  });
}

/** The widgets that a kernel has, by id. */
async function widgetsOf(kernel) {
  if (!kernel) return {};
  const { content } = await kernel.requestCommInfo({ target_name: 'jupyter.widget' });
  return content.comms ?? {};
}

function withoutViews(outputs, live) {
  for (let i = 0; i < outputs.length; i++) {
    const saved = outputs.get(i).toJSON();
    const { [VIEW]: view, ...others } = saved.data ?? {};
    if (view && others[PICTURE] && !(view.model_id in live)) outputs.set(i, { ...saved, data: others });
  }
}
