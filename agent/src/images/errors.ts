/** The image that a job asked for cannot be had; the message says why. */
export class ImageUnavailable extends Error {
  override readonly name = "ImageUnavailable";
}
