import type { Navigation } from '../shared/router'
import type { Desk } from '../viewer/desk.svelte'
import type { ViewerRoute } from '../viewer/opening'
import type { Pointer } from './contract'

/** The image that is pointed to comes into the picture in hand: its series is opened there, or scrolled if it is there already. */
export function showImage(pointer: Pointer, desk: Desk, route: ViewerRoute, navigation: Navigation): void {
  const frame = pointer.frames[0] ?? 1
  const place = desk.slots.findIndex((stage) => stage?.subject.series.series_uid === pointer.series_uid)
  const stage = desk.slots[place]
  const index = stage?.subject.series.slices.findIndex((one) => one.instance_uid === pointer.instance_uid && one.frame === frame) ?? -1
  if (stage && index >= 0) {
    desk.take(place)
    stage.show('stack')
    stage.scrollTo(index)
  } else {
    navigation.replace({ ...route, seriesUid: pointer.series_uid, image: { instanceUid: pointer.instance_uid, frame } })
  }
}
