/* Elements from data. Text is only ever set as text, so that no word of an agent becomes markup. */

/** el('button.primary', {title: 'x', onclick: f}, 'text', child) */
export function el(tag, properties = {}, ...children) {
  const [name, ...classes] = tag.split('.');
  const found = Object.assign(document.createElement(name), properties);
  found.classList.add(...classes);
  found.append(...children.filter(child => child !== null && child !== ''));
  return found;
}

/** Makes the children of `parent` the given ones, and leaves alone those that are in place: what is typed stays. */
export function place(parent, children) {
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

/** Keeps one part for each key: `make(item)` when it is new, `part.update(item)` always, gone when it is not there. */
export class Kept {
  constructor(make) {
    this.make = make;
    this.parts = new Map();
  }

  of(items, key) {
    const before = this.parts;
    this.parts = new Map();
    for (const item of items) {
      const part = before.get(key(item)) ?? this.make(item);
      part.update(item);
      this.parts.set(key(item), part);
    }
    return [...this.parts.values()].map(part => part.node);
  }
}
