/** Pixels between the tooltip and what it points at, and to the edge of the window. */
const GAP = 12;
const EDGE = 12;

/** Put `card` below `anchor`, or above where there is no room, inside of the window, or in the corner where there is no anchor that can be seen. */
export function place(card: HTMLElement, arrow: HTMLElement, anchor: Element | null): void {
  const to = anchor?.getBoundingClientRect();
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  const seen = !!to && to.width > 0 && to.bottom > 0 && to.top < height && to.right > 0 && to.left < width;
  card.classList.toggle("corner", !seen);
  card.classList.toggle("tooltip", seen);
  arrow.hidden = !seen;
  if (!seen) {
    card.removeAttribute("style");
    return;
  }
  const { offsetWidth: w, offsetHeight: h } = card;
  const below = to.bottom + GAP + h <= height - EDGE || to.top < height - to.bottom;
  const middle = to.left + to.width / 2;
  const left = Math.max(EDGE, Math.min(middle - w / 2, width - w - EDGE));
  const top = Math.max(EDGE, Math.min(below ? to.bottom + GAP : to.top - GAP - h, height - h - EDGE));
  // Set by script, which a content security policy allows, unlike a style attribute.
  card.style.left = `${left}px`;
  card.style.top = `${top}px`;
  arrow.classList.toggle("down", !below);
  arrow.style.left = `${Math.max(left + 14, Math.min(middle - 6, left + w - 26))}px`;
  arrow.style.top = `${below ? top - 6 : top + h - 7}px`;
}
