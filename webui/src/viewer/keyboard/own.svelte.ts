import { texts } from '../../shared/texts'
import { keyboard } from '../shortcuts'
import { chosen, chosenBy, keep, meantBy, pressedFor, type Chosen } from './keys'

/** The keys of whoever looks, as they are now. */
class OwnKeys {
  #chosen: Chosen = $state.raw({})

  get areOwn(): boolean {
    return Object.keys(this.#chosen).length > 0
  }

  recall(): void {
    this.#chosen = chosenBy(keyboard.owner)
  }

  choose(usual: string, own: string): void {
    this.#keep(chosen(this.#chosen, usual, own))
  }

  forget(): void {
    this.#keep({})
  }

  pressedFor = (usual: string): string => pressedFor(this.#chosen, usual)

  meantBy = (pressed: string): string => meantBy(this.#chosen, pressed)

  #keep(next: Chosen): void {
    this.#chosen = next
    keep(keyboard.owner, next)
  }
}

export const ownKeys = new OwnKeys()

/** From now on keys mean what their owner chose, and every hint of a key names theirs. */
export function useOwnKeys(): void {
  ownKeys.recall()
  if (keyboard.meant === ownKeys.meantBy) return
  keyboard.meant = ownKeys.meantBy
  const { shortcut } = texts.viewer
  texts.viewer.shortcut = (text, key) => shortcut(text, ownKeys.pressedFor(key))
}
