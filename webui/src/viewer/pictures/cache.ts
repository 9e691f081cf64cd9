/** Decoded pictures, the longest unused forgotten first, never more bytes than allowed. */

export interface Weighed {
  readonly sizeBytes: number
}

export class PictureCache<P extends Weighed> {
  // A Map keeps the order of insertion: the first is the one that was unused the longest.
  readonly #pictures = new Map<string, P>()
  readonly #limitBytes: () => number
  #bytes = 0

  constructor(limitBytes: () => number) {
    this.#limitBytes = limitBytes
  }

  get bytes(): number {
    return this.#bytes
  }

  has(key: string): boolean {
    return this.#pictures.has(key)
  }

  /** The picture, which is now the last to be forgotten. */
  get(key: string): P | undefined {
    const picture = this.#pictures.get(key)
    if (picture) {
      this.#pictures.delete(key)
      this.#pictures.set(key, picture)
    }
    return picture
  }

  /** Keeps it; what had to be forgotten for it comes back, for the caller to free. */
  put(key: string, picture: P): P[] {
    const forgotten = this.#forget(key)
    this.#pictures.set(key, picture)
    this.#bytes += picture.sizeBytes
    const limitBytes = this.#limitBytes()
    for (const oldest of this.#pictures.keys()) {
      if (this.#bytes <= limitBytes) break
      forgotten.push(...this.#forget(oldest))
    }
    return forgotten
  }

  clear(): P[] {
    return [...this.#pictures.keys()].flatMap((key) => this.#forget(key))
  }

  #forget(key: string): P[] {
    const picture = this.#pictures.get(key)
    if (!picture) return []
    this.#pictures.delete(key)
    this.#bytes -= picture.sizeBytes
    return [picture]
  }
}
