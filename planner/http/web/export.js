// What leaves the page: text into the clipboard, charts and reports as files.

export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedByHand(text); // no permission, or no secure context
  }
}

// As a person copies: a field that is selected.
function copiedByHand(text) {
  const field = Object.assign(document.createElement("textarea"), { value: text, readOnly: true });
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

export function saved(name, type, content) {
  const link = Object.assign(document.createElement("a"), { download: name });
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

const MARKS = [["●", "measured"], ["○", "predicted"], ["◆", "recommended"], ["▬", "frontier with its interval"]];
const HEAD = 56;
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

// The drawing with title and legend above it, on the colour of its card. Fonts: any sans-serif will do.
export async function chartSvg(view, title) {
  const inner = await view.toSVG();
  const [, width, height] = /<svg[^>]*?width="([\d.]+)"[^>]*?height="([\d.]+)"/.exec(inner).map(Number);
  const style = getComputedStyle(document.documentElement);
  const [ink, card] = ["--ink", "--card"].map((name) => style.getPropertyValue(name).trim());
  const legend = MARKS.map(([sign, word]) => `${sign} ${word}`).join("   ");
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="${width}" height="${height + HEAD}" font-family="system-ui, DejaVu Sans, sans-serif" fill="${ink}">` +
    `<rect width="100%" height="100%" fill="${card}"/><text x="12" y="22" font-size="14" font-weight="600">${escaped(title)}</text>` +
    `<text x="12" y="43" font-size="12">${escaped(legend)}</text><g transform="translate(0 ${HEAD})">${inner}</g></svg>`;
}

export async function picture(view, title, kind) {
  const svg = await chartSvg(view, title);
  return kind === "svg" ? ["image/svg+xml", svg] : ["image/png", await pixels(svg)];
}

async function pixels(svg) {
  const image = new Image();
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [2 * image.width, 2 * image.height];
  const pen = canvas.getContext("2d");
  pen.scale(2, 2);
  pen.drawImage(image, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
