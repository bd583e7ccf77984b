// Tells of an element's size, on the next animation frame: to lay out within the observer's own call
// would make the browser complain of a loop.

export function observeSize(element: HTMLElement, tell: () => void): () => void {
  let frame = 0;
  const observer = new ResizeObserver(() => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(tell);
  });
  observer.observe(element);
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
  };
}
