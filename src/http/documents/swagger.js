'use strict';

SwaggerUIBundle({
  dom_id: '#swagger-ui',
  url: 'openapi.json',
  // Without the bar in which to enter another document.
  layout: 'BaseLayout',
  deepLinking: true,
  displayRequestDuration: true,
  tryItOutEnabled: true,
});
