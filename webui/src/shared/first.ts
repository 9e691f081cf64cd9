/**
 * What somebody opened the page for (the first picture, in the viewer) goes before everything that can wait for it: on a bad line
 * each request and each kilobyte beside it makes it later.
 */

let say: () => void

const first = new Promise<void>((resolve) => (say = resolve))

/** It is there, or will not come for now. Said again, it says nothing new. */
export const sayFirst = (): void => say()

/** What `load` brings, asked for when the first is there. */
export const loadAfterFirst = <T>(load: () => Promise<T>): Promise<T> => first.then(load)

/** Begins `work` when the first is there; how to end what it began, or to see that it never begins. */
export function afterFirst(work: () => (() => void) | void): () => void {
  let isOver = false
  let end: (() => void) | void
  void first.then(() => {
    if (!isOver) end = work()
  })
  return () => {
    isOver = true
    end?.()
  }
}
