// @ts-check
import { startService } from './service.js'

/** @type {{ id: string, name: string, email: string }[]} */
const users = []

await startService('user-service', 3001, app => {
  app.post('/users', (request, response) => {
    const { name, email } = request.body ?? {}
    if (!name || !email) return void response.status(400).json({ error: 'A user needs a name and an email.' })
    const user = { id: String(users.length + 1), name: String(name), email: String(email) }
    users.push(user)
    response.status(201).json(user)
  })

  app.get('/users', (_request, response) => void response.json(users))

  app.get('/users/:id', (request, response) => {
    const user = users.find(({ id }) => id === request.params.id)
    if (user) response.json(user)
    else response.status(404).json({ error: 'There is no such user.' })
  })
})
