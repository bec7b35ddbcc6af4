import type { Deployment, Site, SiteOptions } from './site.js'

/** Something that goes wrong, and where. */
export interface Scenario<On extends Deployment> {
  readonly name: string
  readonly open: (options: SiteOptions) => Promise<Site<On>>
  readonly options?: Omit<SiteOptions, 'store'>
  /** Also runs with every `npm test`. */
  readonly always?: boolean
  /** Makes it go wrong; resolves when it is over. */
  readonly strike: (site: Site<On>) => Promise<void>
}
