// Tells when an element has another size, or its window came to a screen with other pixels; on the next animation
// frame: to lay out within the observer's own call would make the browser complain of a loop.

export function observeSize(element: HTMLElement, tell: () => void): () => void {
  let frame = 0;
  const soon = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(tell);
  };
  const observer = new ResizeObserver(soon);
  observer.observe(element);
  let resolution: MediaQueryList;
  const watchResolution = () => {
    resolution = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    resolution.addEventListener("change", onResolution, { once: true });
  };
  const onResolution = () => {
    soon();
    watchResolution();
  };
  watchResolution();
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
    resolution.removeEventListener("change", onResolution);
  };
}
