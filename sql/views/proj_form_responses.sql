-- One row for each questionnaire response, as it was submitted last.
CREATE OR REPLACE VIEW derived.proj_form_responses AS
WITH subjects AS (
  -- Whom a response is about is for the binding of its form to say.
  SELECT
    canonical_object_id,
    MAX(subject_id) AS subject_id,
    COUNT(*) AS measures
  FROM derived.measurement_events
  GROUP BY canonical_object_id
)
SELECT
  responses.idem_key,
  responses.external_id AS response_id,
  responses.connection_name AS form,
  JSON_VALUE(responses.payload, '$.questionnaire_id') AS questionnaire_id,
  COALESCE(subjects.subject_id, LOWER(TRIM(JSON_VALUE(responses.payload, '$.respondent.email')))) AS email,
  -- Google may say nanoseconds, of which a TIMESTAMP keeps six digits.
  SAFE_CAST(
    REGEXP_REPLACE(JSON_VALUE(responses.payload, '$.created_at'), r'(\.\d{6})\d+', r'\1') AS TIMESTAMP
  ) AS created_at,
  SAFE_CAST(
    REGEXP_REPLACE(JSON_VALUE(responses.payload, '$.submitted_at'), r'(\.\d{6})\d+', r'\1') AS TIMESTAMP
  ) AS submitted_at,
  COALESCE(ARRAY_LENGTH(JSON_QUERY_ARRAY(responses.payload, '$.answers')), 0) AS answers,
  COALESCE(subjects.measures, 0) AS measures
FROM canonical.canonical_objects AS responses
LEFT JOIN subjects ON subjects.canonical_object_id = responses.idem_key
WHERE responses.canonical_format = 'questionnaire_response'
