'use strict';

// Who tries one operation after the other meets the sensor before it is deleted: first it is created.
const place = (operation) => {
  const [method, path] = [operation.get('method'), operation.get('path')];
  if (method === 'delete') return 2;
  return method === 'post' && path === '/sensors' ? 0 : 1;
};

// Swagger UI has dark colours, but looks only at what it remembers of its own switch.
const dark = matchMedia('(prefers-color-scheme: dark)');
const follow = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', follow);
follow();

SwaggerUIBundle({
  dom_id: '#swagger-ui',
  url: 'openapi.json',
  // Without the bar in which to enter another document.
  layout: 'BaseLayout',
  // Otherwise it would ask one on the internet.
  validatorUrl: 'none',
  deepLinking: true,
  displayRequestDuration: true,
  operationsSorter: (one, other) => place(one) - place(other),
  tryItOutEnabled: true,
});
