//! A template's resources, and what they name of each other.

use serde_json::Value;

/// A parsed template, before or after SAM's transform.
#[derive(Clone)]
pub(super) struct Stack(pub(super) Value);

/// One resource.
#[derive(Clone, Copy)]
pub(super) struct Resource<'a> {
    /// Its name in the template.
    pub(super) id: &'a str,
    /// `AWS::…`.
    pub(super) kind: &'a str,
    /// Everything about it.
    pub(super) body: &'a Value,
}

impl Stack {
    pub(super) fn resources(&self) -> impl Iterator<Item = Resource<'_>> {
        self.0["Resources"].as_object().into_iter().flatten().map(|(id, body)| Resource {
            id,
            kind: body["Type"].as_str().unwrap_or_default(),
            body,
        })
    }

    pub(super) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = Resource<'a>> {
        self.resources().filter(move |resource| resource.kind == kind)
    }

    /// The functions, whoever describes them: SAM before its transform, Lambda after it.
    pub(super) fn functions(&self) -> impl Iterator<Item = Resource<'_>> {
        self.resources().filter(|each| matches!(each.kind, "AWS::Serverless::Function" | "AWS::Lambda::Function"))
    }

    /// Properties of one resource; null where there is none.
    pub(super) fn properties(&self, id: &str) -> &Value {
        &self.0["Resources"][id]["Properties"]
    }

    pub(super) fn kind(&self, id: &str) -> &str {
        self.0["Resources"][id]["Type"].as_str().unwrap_or_default()
    }

    /// The document's statements and where each stands, of every policy of whatever kind.
    pub(super) fn statements(&self) -> Vec<(String, &Value)> {
        let mut found = Vec::new();
        for resource in self.resources() {
            let properties = &resource.body["Properties"];
            let mut documents = vec![&properties["PolicyDocument"], &properties["KeyPolicy"]];
            documents.extend(
                properties["Policies"].as_array().into_iter().flatten().map(|policy| &policy["PolicyDocument"]),
            );
            for statement in documents.into_iter().flat_map(|document| list(&document["Statement"])) {
                let sid = statement["Sid"].as_str().unwrap_or("(without Sid)");
                found.push((format!("{}.{sid}", resource.id), statement));
            }
        }
        found
    }

    /// Whether a policy of type `kind` denies everybody `action` on `id` without TLS.
    pub(super) fn is_tls_only(&self, kind: &str, id: &str, action: &str) -> bool {
        self.of(kind).flat_map(|policy| list(&policy.body["Properties"]["PolicyDocument"]["Statement"])).any(
            |statement| {
                statement["Effect"] == "Deny"
                    && statement["Principal"] == "*"
                    && list(&statement["Action"]).iter().any(|each| *each == action)
                    && list(&statement["Resource"]).iter().any(|each| named(each) == Some(id))
                    && statement["Condition"] == serde_json::json!({ "Bool": { "aws:SecureTransport": "false" } })
            },
        )
    }
}

impl<'a> Resource<'a> {
    /// A property by its path, `/A/B`; null where there is none.
    pub(super) fn at(self, path: &str) -> &'a Value {
        self.body["Properties"].pointer(path).unwrap_or(&Value::Null)
    }
}

/// One or several, as policies write it.
pub(super) fn list(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(values) => values.iter().collect(),
        one => vec![one],
    }
}

/// The resource that a value names: `Ref`, `GetAtt`, or the first `${…}` of a `Sub` that is no
/// pseudo parameter.
pub(super) fn named(value: &Value) -> Option<&str> {
    if let Some(id) = value["Ref"].as_str() {
        return Some(id);
    }
    if let Some(id) = value["Fn::GetAtt"][0].as_str() {
        return Some(id);
    }
    let text = value["Fn::Sub"].as_str()?;
    let names = text.split("${").skip(1).filter_map(|part| part.split('}').next());
    names.filter(|name| !name.contains("::")).map(|name| name.split('.').next().unwrap_or(name)).next()
}
