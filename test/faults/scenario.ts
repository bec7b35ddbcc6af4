import type { Deployment, Site, SiteOptions } from './site.js'
import type { Hearing } from './stores.js'

/** Something that goes wrong, and where. */
export interface Scenario<On extends Deployment> {
  readonly name: string
  readonly open: (options: SiteOptions) => Promise<Site<On>>
  readonly options?: Omit<SiteOptions, 'store'>
  /** It breaks how a store hears; left out, it meets every store. */
  readonly meets?: readonly Hearing[]
  /** Also runs with every `npm test`. */
  readonly always?: boolean
  /** Makes it go wrong; resolves when it is over. */
  readonly strike: (site: Site<On>) => Promise<void>
}
