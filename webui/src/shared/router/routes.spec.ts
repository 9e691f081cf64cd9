import { describe, expect, it } from 'vitest'
import { addressOf, routeAt, type Route } from './routes'

const PATIENT = '0b7e3c1e-58f2-4f55-9f0b-0c9c8a1d2e3f'
const NODE = '7c1de0a2-1111-4222-8333-944455556666'

const ROUTES: Route[] = [
  { at: 'patients' },
  { at: 'upload' },
  { at: 'account' },
  { at: 'administration', part: 'accounts' },
  { at: 'administration', part: 'audit' },
  { at: 'inbox', studyUid: null },
  { at: 'inbox', studyUid: '1.2.3' },
  { at: 'viewer', patientId: null, nodeId: NODE, studyUid: '1.2.3', seriesUid: '1.2.3.4' },
  { at: 'patient', patientId: PATIENT },
  { at: 'viewer', patientId: PATIENT, nodeId: NODE, studyUid: '1.2.3', seriesUid: null },
  { at: 'viewer', patientId: PATIENT, nodeId: NODE, studyUid: '1.2.3', seriesUid: '1.2.3.4' },
  { at: 'viewer', patientId: PATIENT, nodeId: NODE, studyUid: '1.2.3', seriesUid: '1.2.3.4', image: { instanceUid: '1.2.3.4.5', frame: 7 } },
]

describe('an address', () => {
  it.each(ROUTES)('brings back the place it was made of: $at', (route) => {
    expect(routeAt(addressOf(route))).toEqual(route)
  })

  it.each(['/patients/Doe', '/patients', `/patients/${PATIENT}/nodes/x/studies/1.2`, '/../etc', '/inbox/1.2.3', '/inbox/studies/Doe', '/administration', '/administration/passwords'])('leads nowhere: %s', (path) => {
    expect(routeAt(path)).toEqual({ at: 'nowhere' })
  })
})
