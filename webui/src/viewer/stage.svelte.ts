import { choicesOf, windowOfVoi, type Choice } from './choices'
import { fitted, panned, scaleOf, zoomedAt, type Framing, type Point, type Rect, type Size } from './geometry/framing'
import { finestSpacingMm, planeCount, type Axis } from './geometry/planes'
import { flipped, rotated, sizeHung, UPRIGHT, type Posture } from './geometry/posture'
import { FROM_THE_FRONT, turnedBy, type Turn } from './geometry/turntable'
import type { Rotation } from './geometry/vectors'
import type { Command, Tool } from './shortcuts'
import { extentOf, isWindowed, WHOLE_SPACE, type Mode, type Scene, type Slab, type SlabMethod, type Space, type Subject, type View, type WindowSetting } from './view'
import { draggedWindow } from './window'

/** How many neighbours are worth having before the hand asks: more where the hand is going. */
const AHEAD = { stack: { forward: 8, back: 2 }, plane: { forward: 3, back: 1 } }

/**
 * How one series is looked at now. It holds what the hand chose, and says which view follows from it; it knows no
 * pictures.
 */
export class Stage {
  readonly subject: Subject
  mode: Mode = $state('stack')
  tool: Tool = $state('window')
  invert = $state(false)
  slab: Slab = $state.raw({ mm: 0, method: 'average_ip' })
  /** Transfer function of a lit volume. */
  material = $state('')
  /** What is made of the values along a ray, where all of the volume is projected. */
  projection: SlabMethod = $state('maximum_ip')
  space: Space = $state.raw(WHOLE_SPACE)
  /** UID of the series that is laid over planes and projections. */
  fused: string | null = $state(null)
  /** Whether whoever looks may draw in this study. */
  mayMark = $state(false)
  /** Whether the choices of `space` are laid out. */
  isSpaceOpen = $state(false)
  turn: Turn = $state.raw(FROM_THE_FRONT)
  /** The pane as it is on the screen, device pixels. */
  glass: Size = $state.raw({ width: 0, height: 0 })
  /** Through which window the picture on the screen was made; null while nobody knows. */
  shownWindow: WindowSetting | null = $state.raw(null)
  /** Of the slice or plane that is on the screen; null while there is none. */
  shownIndex: number | null = $state(null)
  /** Where the stack was opened. */
  readonly #begin: number
  #postures: Partial<Record<Mode, Posture>> = $state.raw({})
  #indices: Record<'stack' | Axis, number> = $state({ stack: 0, axial: 0, coronal: 0, sagittal: 0 })
  #windows: Record<'slices' | 'mip', WindowSetting | null> = $state.raw({ slices: null, mip: null })
  /** Of slices, which choice of the file where no window was chosen. */
  #voi: string | null = $state(null)
  #framings: Partial<Record<Mode, Framing>> = $state.raw({})
  #direction: 1 | -1 = $state(1)
  #tilts: Partial<Record<Mode, Rotation>> = $state.raw({})

  readonly count = $derived.by(() => this.#count(this.mode))
  readonly scene: Scene = $derived.by(() => this.#sceneAt(this.index))
  readonly extent: Rect = $derived.by(() => extentOf(this.scene, this.subject))
  readonly framing: Framing = $derived.by(() => this.#framings[this.mode] ?? fitted(this.extent))
  readonly view: View = $derived.by(() => this.#viewOf(this.scene))
  readonly choices: Choice[] = $derived.by(() => choicesOf(this.scene, this.subject))
  readonly isTurnable = $derived.by(() => this.mode === 'mip' || this.mode === 'volume')
  readonly isWindowed = $derived.by(() => isWindowed(this.scene, this.subject))

  /** `image` is where the stack is opened, if the series has it. */
  constructor(subject: Subject, image: { instanceUid: string; frame: number } | null = null) {
    this.subject = subject
    if (subject.series.is_colour) this.tool = 'pan'
    this.material = subject.series.volume_presets[0] ?? ''
    const count = subject.series.slices.length
    // A volume opens in its middle, where there is something to see; a single exposure or a cine loop at its first frame.
    const begin = subject.series.volume.ok ? Math.floor(count / 2) : 0
    const named = subject.series.slices.findIndex((slice) => slice.instance_uid === image?.instanceUid && slice.frame === image.frame)
    this.#begin = named < 0 ? begin : named
    this.#indices.stack = this.#begin
    if (subject.series.volume.ok) for (const axis of AXES) this.#indices[axis] = Math.floor(this.#count(axis) / 2)
  }

  /** Whether it is seen as it was opened: no hand has been at it. */
  get isUntouched(): boolean {
    const chosen = [this.#framings, this.#postures].some((one) => Object.keys(one).length) || this.expectedWindow !== null
    return this.mode === 'stack' && this.#indices.stack === this.#begin && !this.invert && !chosen
  }

  /** How the picture is hung; what is turned as a volume is not hung besides. */
  get posture(): Posture {
    return this.#postures[this.mode] ?? UPRIGHT
  }

  /** Before the picture is hung. */
  get pane(): Size {
    return sizeHung(this.glass, this.posture)
  }

  /** Of the stack or of the planes; 0 for what has none. */
  get index(): number {
    return this.mode === 'mip' || this.mode === 'volume' ? 0 : this.#indices[this.mode]
  }

  get window(): WindowSetting | null {
    if (this.mode === 'mip') return this.#windows.mip
    // Planes know only windows: what a choice of the file means in the slice where it was made.
    return this.#windows.slices ?? (this.mode === 'stack' ? null : this.#windowOfVoi)
  }

  /** Which choice of the file the slices are seen through. */
  get voi(): string | null {
    return this.mode === 'stack' && !this.window ? this.#voi : null
  }

  /** The window that the picture will have, as far as it is known before it comes. */
  get expectedWindow(): WindowSetting | null {
    return this.window ?? (this.voi ? this.#windowOfVoi : null)
  }

  get #windowOfVoi(): WindowSetting | null {
    return this.#voi ? windowOfVoi(this.#indices.stack, this.#voi, this.subject) : null
  }

  /** The views that the hand may want next. */
  get ahead(): View[] {
    if (this.isTurnable) return []
    const { forward, back } = this.mode === 'stack' ? AHEAD.stack : AHEAD.plane
    const steps = [...range(1, forward), ...range(1, back).map((step) => -step)]
    const indices = steps.map((step) => this.index + step * this.#direction)
    return indices.filter((index) => index >= 0 && index < this.count).map((index) => this.#viewOf(this.#sceneAt(index)))
  }

  obey(command: Command): void {
    switch (command.do) {
      case 'scroll':
        return this.scrollTo(this.index + command.by)
      case 'scroll-to':
        return this.scrollTo(command.end === 'first' ? 0 : this.count - 1)
      case 'tool':
        return this.take(command.tool)
      case 'mode':
        return this.show(command.mode)
      case 'invert':
        this.invert = !this.invert
        return
      case 'reset':
        return this.reset()
      case 'fit':
        return this.fit()
      case 'actual':
        return this.showActualSize()
      case 'rotate':
        return this.#hang(rotated(this.posture))
      case 'flip':
        return this.#hang(flipped(this.posture))
      case 'preset':
        return this.usePreset(command.index)
    }
  }

  scrollTo(index: number): void {
    if (this.mode === 'mip' || this.mode === 'volume') return
    const next = Math.max(0, Math.min(this.count - 1, index))
    if (next === this.index) return
    this.#direction = next > this.index ? 1 : -1
    this.#indices[this.mode] = next
  }

  show(mode: Mode): void {
    if (mode !== 'stack' && !this.subject.series.volume.ok) return
    this.mode = mode
    if (this.isTurnable) this.tool = 'turn'
    else if (!this.#canUse(this.tool)) this.tool = this.isWindowed ? 'window' : 'pan'
  }

  take(tool: Tool): void {
    if (this.#canUse(tool)) this.tool = tool
  }

  #canUse(tool: Tool): boolean {
    if (tool === 'turn') return this.isTurnable
    if (tool === 'cross') return !this.isTurnable
    if (tool === 'probe') return this.mode === 'stack'
    if (tool === 'mark') return this.mode === 'stack' && this.mayMark
    return tool !== 'window' || this.isWindowed
  }

  setWindow(window: WindowSetting | null): void {
    if (this.mode !== 'mip') this.#voi = null
    this.#windows = { ...this.#windows, [this.mode === 'mip' ? 'mip' : 'slices']: window }
  }

  /** From 0, as `choices` lists them. */
  usePreset(index: number): void {
    const choice = this.choices[index]
    if (!choice || !this.isWindowed) return
    this.setWindow(choice.voi ? null : choice.window)
    if (choice.voi) this.#voi = choice.voi
  }

  dragWindow(start: WindowSetting, dx: number, dy: number): void {
    this.setWindow(draggedWindow(start, dx, dy))
  }

  /** How an oblique plane lies; nothing of one that is square to the patient. */
  get tilt(): Rotation | undefined {
    return this.#tilts[this.mode]
  }

  /** Of the plane that is shown. Its index counts other planes then: whoever tilts it says where it goes to. */
  lean(tilt: Rotation | undefined): void {
    this.#tilts = { ...this.#tilts, [this.mode]: tilt }
  }

  /** By pixels of the pane. */
  pan(dx: number, dy: number): void {
    this.#frame(panned(this.framing, dx, dy, scaleOf(this.framing, this.extent, this.pane), this.extent))
  }

  zoom(factor: number, at: Point): void {
    this.#frame(zoomedAt(this.framing, factor, at, this.extent, this.pane))
  }

  turnBy(dx: number, dy: number): void {
    this.turn = turnedBy(this.turn, dx, dy, this.pane.height)
  }

  fit(): void {
    this.#framings = { ...this.#framings, [this.mode]: undefined }
  }

  /** A pixel of the screen for a pixel of the source; of planes, for its finest voxel. */
  showActualSize(): void {
    if (this.isTurnable) return
    const unit = this.mode === 'stack' ? 1 : 1 / finestSpacingMm(this.subject.grid)
    const factor = unit / scaleOf(this.framing, this.extent, this.pane)
    this.zoom(factor, { x: this.pane.width / 2, y: this.pane.height / 2 })
  }

  #hang(posture: Posture): void {
    if (!this.isTurnable) this.#postures = { ...this.#postures, [this.mode]: posture }
  }

  reset(): void {
    this.fit()
    this.#hang(UPRIGHT)
    this.#tilts = {}
    this.turn = FROM_THE_FRONT
    this.space = WHOLE_SPACE
    this.invert = false
    this.setWindow(null)
  }

  #frame(framing: Framing): void {
    this.#framings = { ...this.#framings, [this.mode]: framing }
  }

  #count(mode: Mode): number {
    const { series, grid } = this.subject
    if (mode === 'stack') return series.slices.length
    if (mode === 'mip' || mode === 'volume' || !series.volume.ok) return 1
    return planeCount(mode, series.volume.size_mm, grid, this.#tilts[mode])
  }

  #sceneAt(index: number): Scene {
    switch (this.mode) {
      case 'stack':
        return { kind: 'frame', index }
      case 'mip':
        return { kind: 'mip', turn: this.turn, method: this.projection, space: this.space, ...this.#fuse }
      case 'volume':
        return { kind: 'volume', turn: this.turn, material: this.material, space: this.space }
      default:
        return { kind: 'plane', axis: this.mode, index, slab: this.slab, ...this.#fuse, ...(this.tilt && { tilt: this.tilt }) }
    }
  }

  get #fuse(): { fuse?: string } {
    return this.fused ? { fuse: this.fused } : {}
  }

  #viewOf(scene: Scene): View {
    return { scene, window: this.window, voi: this.voi, invert: this.invert, framing: this.framing, pane: this.pane }
  }
}

const AXES: Axis[] = ['axial', 'coronal', 'sagittal']

const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, index) => from + index)
