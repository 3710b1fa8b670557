/** Images as a model wants them: sharp (libvips) decodes, our own code resizes, so that every machine gets the same numbers. */
import sharp from 'sharp';

import { GraftError } from '@graft/core/error';
import { tensor, type Tensor } from '@graft/core/tensor';

import type { ImagePreprocessing } from './preprocessing.js';
import { resizeBilinear, type Raster } from './resize-bilinear.js';

/** An encoded image, in a file or in memory; `name` stands in errors. */
type ImageFile = { readonly file: string } | { readonly name: string; readonly bytes: Uint8Array };

/** Grey pixels in rows from the top. */
interface GreyImage {
  readonly name: string;
  readonly grey: Uint8Array;
  readonly width: number;
  readonly height: number;
}

export type ImageSource = ImageFile | GreyImage;

/** 100 megapixels: larger than any camera's picture, small enough that a bomb of zeros does not fill the memory. */
const maxPixels = 100_000_000;

/** The largest side of a JPEG; thinner images are no pictures. */
const maxSide = 65_535;

/** Raster formats; SVG and PDF are programs and stay out. */
const formats: ReadonlySet<string> = new Set(['png', 'jpeg', 'webp', 'gif', 'tiff', 'heif', 'avif']);

/**
 * One example, float32 [channels, height, width], each value (inverted pixel, 0 to 255) * scale + offset.
 * Transparent pixels lie on white; EXIF orientation is applied; of an animation the first frame is taken.
 * Throws IMAGE_UNREADABLE, naming the file, for anything that is not a whole image.
 */
export async function decodeImage(source: ImageSource, preprocessing: ImagePreprocessing): Promise<Tensor<'float32'>> {
  try {
    return planes('grey' in source ? greyRaster(source) : await decodeFile(source, preprocessing), preprocessing);
  } catch (cause) {
    const name = 'file' in source ? source.file : source.name;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new GraftError('IMAGE_UNREADABLE', `'${name}' cannot be read as an image: ${reason}`, { cause });
  }
}

function greyRaster({ grey, width, height }: GreyImage): Raster {
  if (width < 1 || height < 1 || grey.length !== width * height) {
    throw new Error(`${grey.length} grey pixels do not fill ${width} x ${height}`);
  }
  return { pixels: grey, width, height, channels: 1 };
}

async function decodeFile(source: ImageFile, { channels }: ImagePreprocessing): Promise<Raster> {
  const input = 'file' in source ? source.file : source.bytes;
  // Only the header is read here, so that the limit is ours to name.
  const { format, width, height } = await sharp(input, { limitInputPixels: false }).metadata();
  if (!formats.has(format)) throw new Error(`format ${format} is not read`);
  if (width * height > maxPixels) {
    throw new Error(`it has ${width} x ${height} = ${width * height} pixels, the limit is ${maxPixels}`);
  }
  if (Math.max(width, height) > maxSide) {
    throw new Error(`it is ${width} x ${height}, the limit of a side is ${maxSide} pixels`);
  }
  const { data, info } = await sharp(input, { limitInputPixels: maxPixels, failOn: 'truncated' })
    .autoOrient()
    .flatten({ background: '#ffffff' })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  return { pixels: data, width: info.width, height: info.height, channels: info.channels };
}

/** Resized planes, scaled; a single plane is repeated where the model wants three. */
function planes(raster: Raster, preprocessing: ImagePreprocessing): Tensor<'float32'> {
  const { channels, height, width, invert, scale, offset } = preprocessing;
  if (raster.channels !== 1 && raster.channels !== channels) {
    throw new Error(`it has ${raster.channels} channels after decoding, expected ${channels}`);
  }
  const resized = resizeBilinear(raster, { width, height });
  const area = height * width;
  const values = new Float32Array(channels * area);
  for (let channel = 0; channel < channels; channel++) {
    const factor = typeof scale === 'number' ? scale : (scale[channel] ?? 1);
    const shift = typeof offset === 'number' ? offset : (offset[channel] ?? 0);
    const from = raster.channels === 1 ? 0 : channel * area;
    for (let i = 0; i < area; i++) {
      const pixel = resized[from + i] ?? 0;
      values[channel * area + i] = (invert ? 255 - pixel : pixel) * factor + shift;
    }
  }
  return tensor('float32', [channels, height, width], values);
}
