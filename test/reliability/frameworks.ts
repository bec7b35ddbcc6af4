export type Framework = 'express' | 'koa'

export const FRAMEWORKS: readonly Framework[] = ['express', 'koa']
