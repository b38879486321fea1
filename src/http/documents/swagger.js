'use strict';

// Who tries one operation after the other meets the sensor before it is deleted: first it is created.
const place = (operation) => {
  const [method, path] = [operation.get('method'), operation.get('path')];
  if (method === 'delete') return 2;
  return method === 'post' && path === '/sensors' ? 0 : 1;
};

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
