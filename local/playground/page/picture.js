/** A picture to upload: what a user would choose. */

const SIZE = 256

/**
 * A PNG with the person's initial on a colour; each time another colour.
 *
 * @param {string} person
 * @returns {Promise<File>}
 */
export async function drawPicture(person) {
  const canvas = document.createElement('canvas')
  canvas.width = SIZE
  canvas.height = SIZE
  const context = canvas.getContext('2d')
  if (!context) throw new Error('no canvas')
  const hue = Math.floor(Math.random() * 360)
  const gradient = context.createLinearGradient(0, 0, SIZE, SIZE)
  gradient.addColorStop(0, `hsl(${hue} 70% 45%)`)
  gradient.addColorStop(1, `hsl(${(hue + 50) % 360} 70% 35%)`)
  context.fillStyle = gradient
  context.fillRect(0, 0, SIZE, SIZE)
  context.fillStyle = '#fff'
  context.font = `600 ${SIZE / 2}px system-ui, sans-serif`
  context.textAlign = 'center'
  context.textBaseline = 'middle'
  context.fillText(person.slice(0, 1).toUpperCase(), SIZE / 2, SIZE / 2 + 8)
  /** @type {Blob | null} */
  const blob = await new Promise((made) => canvas.toBlob(made, 'image/png'))
  if (!blob) throw new Error('no picture')
  return new File([blob], 'avatar.png', { type: 'image/png' })
}
