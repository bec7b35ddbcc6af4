/** Every text whose contrast with what is behind it is below 4.5, as WCAG AA asks of it. */
export const CONTRASTS = `(() => {
  const paint = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgba = color => {
    paint.clearRect(0, 0, 1, 1)
    paint.fillStyle = color
    paint.fillRect(0, 0, 1, 1)
    return [...paint.getImageData(0, 0, 1, 1).data]
  }
  const light = color => {
    const [r, g, b] = rgba(color).map(part => part / 255).map(part => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const ground = element => {
    for (let each = element; each; each = each.parentElement) {
      const color = getComputedStyle(each).backgroundColor
      if (rgba(color)[3] === 255) return color
    }
    return 'white'
  }
  const poor = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    if (!texts.currentNode.data.trim() || element.closest('meter, .unseen')) continue
    const [one, other] = [light(getComputedStyle(element).color), light(ground(element))]
    const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
    if (contrast < 4.5) poor.push(texts.currentNode.data.trim() + ': ' + contrast.toFixed(2))
  }
  return poor
})()`
