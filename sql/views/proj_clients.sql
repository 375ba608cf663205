-- One row for each client: everybody who sent a questionnaire, by e-mail address.
CREATE OR REPLACE VIEW derived.proj_clients AS
WITH subjects AS (
  -- Whom a response is about is for the binding of its form to say.
  SELECT canonical_object_id, MAX(subject_id) AS subject_id
  FROM derived.measurement_events
  GROUP BY canonical_object_id
),
answered AS (
  SELECT
    COALESCE(subjects.subject_id, LOWER(TRIM(JSON_VALUE(objects.payload, '$.respondent.email')))) AS email,
    -- Google may say nanoseconds, of which a TIMESTAMP keeps six digits.
    SAFE_CAST(
      REGEXP_REPLACE(JSON_VALUE(objects.payload, '$.submitted_at'), r'(\.\d{6})\d+', r'\1') AS TIMESTAMP
    ) AS submitted_at
  FROM canonical.canonical_objects AS objects
  LEFT JOIN subjects ON subjects.canonical_object_id = objects.idem_key
  WHERE objects.canonical_format = 'questionnaire_response'
),
clients AS (
  SELECT
    email,
    COUNT(*) AS responses,
    MIN(submitted_at) AS first_response_at,
    MAX(submitted_at) AS last_response_at
  FROM answered
  WHERE email <> ''
  GROUP BY email
),
last_scores AS (
  -- The last that could be told: a later questionnaire with too few answers hides no score.
  SELECT
    subject_id,
    scale_id,
    value,
    label,
    timestamp,
    ROW_NUMBER() OVER (PARTITION BY subject_id, scale_id ORDER BY timestamp DESC, idem_key DESC) AS place
  FROM derived.observations
  WHERE kind = 'scale' AND value IS NOT NULL AND scale_id IN ('phq9_total', 'gad7_total', 'pss_10_total')
),
scores AS (
  SELECT
    subject_id,
    MAX(IF(scale_id = 'phq9_total', value, NULL)) AS phq9_score,
    MAX(IF(scale_id = 'phq9_total', label, NULL)) AS phq9_label,
    MAX(IF(scale_id = 'phq9_total', timestamp, NULL)) AS phq9_at,
    MAX(IF(scale_id = 'gad7_total', value, NULL)) AS gad7_score,
    MAX(IF(scale_id = 'gad7_total', label, NULL)) AS gad7_label,
    MAX(IF(scale_id = 'gad7_total', timestamp, NULL)) AS gad7_at,
    MAX(IF(scale_id = 'pss_10_total', value, NULL)) AS pss_10_score,
    MAX(IF(scale_id = 'pss_10_total', label, NULL)) AS pss_10_label,
    MAX(IF(scale_id = 'pss_10_total', timestamp, NULL)) AS pss_10_at
  FROM last_scores
  WHERE place = 1
  GROUP BY subject_id
),
last_flags AS (
  SELECT
    subject_id,
    value,
    label,
    timestamp,
    ROW_NUMBER() OVER (PARTITION BY subject_id, scale_id ORDER BY timestamp DESC, idem_key DESC) AS place
  FROM derived.observations
  WHERE kind = 'flag' AND value IS NOT NULL
),
flags AS (
  -- Open is what the last answer raised, and not what an earlier one did.
  SELECT
    subject_id,
    COUNTIF(value > 0) AS flags,
    MAX(IF(value > 0, timestamp, NULL)) AS last_flag_at,
    COUNTIF(value > 0 AND place = 1) AS open_flags,
    MAX(IF(value > 0 AND place = 1, label, NULL)) AS open_flag_label
  FROM last_flags
  GROUP BY subject_id
),
mails AS (
  -- The same mail may lie in several accounts. What is read of a payload is read here, once.
  SELECT
    COALESCE(JSON_VALUE(payload, '$.messageId[0]'), idem_key) AS mail,
    JSON_VALUE(payload, '$.receivedAt') AS received_at,
    JSON_QUERY(payload, '$.from') AS senders,
    JSON_QUERY(payload, '$.to') AS receivers,
    JSON_QUERY(payload, '$.cc') AS copied
  FROM canonical.canonical_objects
  WHERE canonical_format = 'jmap_lite'
),
people AS (
  SELECT mail, received_at, person, TRUE AS is_sender
  FROM mails, UNNEST(JSON_QUERY_ARRAY(mails.senders, '$')) AS person
  UNION ALL
  SELECT mail, received_at, person, FALSE AS is_sender
  FROM mails, UNNEST(JSON_QUERY_ARRAY(mails.receivers, '$')) AS person
  UNION ALL
  SELECT mail, received_at, person, FALSE AS is_sender
  FROM mails, UNNEST(JSON_QUERY_ARRAY(mails.copied, '$')) AS person
),
addressed AS (
  SELECT
    LOWER(TRIM(JSON_VALUE(person, '$.email'))) AS email,
    mail,
    received_at,
    -- What clients call themselves, and not what others call them; behind the time, so that the greatest is the last.
    IF(
      is_sender,
      CONCAT(COALESCE(received_at, ''), ' ', NULLIF(TRIM(JSON_VALUE(person, '$.name')), '')),
      NULL
    ) AS named
  FROM people
),
exchanged AS (
  SELECT
    clients.email,
    COUNT(DISTINCT addressed.mail) AS mails,
    -- Texts of one form, always UTC: their order is that of the times, and one is cheaper to read than all.
    SAFE_CAST(MAX(addressed.received_at) AS TIMESTAMP) AS last_mail_at,
    MAX(addressed.named) AS last_named
  FROM addressed
  INNER JOIN clients ON clients.email = addressed.email
  GROUP BY clients.email
)
SELECT
  clients.email,
  SUBSTR(exchanged.last_named, STRPOS(exchanged.last_named, ' ') + 1) AS name,
  clients.responses,
  clients.first_response_at,
  clients.last_response_at,
  scores.phq9_score,
  scores.phq9_label,
  scores.phq9_at,
  scores.gad7_score,
  scores.gad7_label,
  scores.gad7_at,
  scores.pss_10_score,
  scores.pss_10_label,
  scores.pss_10_at,
  COALESCE(flags.flags, 0) AS flags,
  flags.last_flag_at,
  COALESCE(flags.open_flags, 0) AS open_flags,
  flags.open_flag_label,
  COALESCE(exchanged.mails, 0) AS mails,
  exchanged.last_mail_at
FROM clients
LEFT JOIN scores ON scores.subject_id = clients.email
LEFT JOIN flags ON flags.subject_id = clients.email
LEFT JOIN exchanged ON exchanged.email = clients.email
