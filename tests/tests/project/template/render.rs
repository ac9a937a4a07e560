//! The template with its parameters, conditions and globals applied, as far as the tests look.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// A rendered template.
pub struct Template {
    resources: Map<String, Value>,
    outputs: Map<String, Value>,
    refusals: Vec<String>,
}

impl Template {
    /// Renders `source` with these parameters; the others have their defaults. What AWS itself provides
    /// (`AWS::Region`) can be given too, and else is its name.
    pub fn render(source: &Value, given: &[(&str, &str)]) -> Self {
        let names = |section: &str| source[section].as_object().unwrap();
        let mut parameters: BTreeMap<_, _> = names("Parameters")
            .iter()
            .map(|(name, parameter)| (name.as_str(), text(&parameter["Default"])))
            .collect();
        for (name, value) in given {
            let known = parameters.insert(name, (*value).to_owned());
            let is_known = known.is_some() || name.starts_with("AWS::");
            assert!(is_known, "the template has no parameter {name}");
        }
        let scope = Scope {
            parameters,
            conditions: names("Conditions"),
        };
        let globals = &source["Globals"]["Function"];
        let resources = names("Resources").iter().filter_map(|(name, resource)| {
            let condition = resource["Condition"].as_str();
            let exists = condition.is_none_or(|condition| scope.condition(condition));
            let mut resource = resource.clone();
            if resource["Type"] == "AWS::Serverless::Function" {
                merge(&mut resource["Properties"], globals);
            }
            exists.then(|| (name.clone(), scope.resolve(&resource).unwrap()))
        });
        let rules = names("Rules").values();
        let outputs = names("Outputs").iter().filter(|(_, output)| {
            let condition = output["Condition"].as_str();
            condition.is_none_or(|condition| scope.condition(condition))
        });
        let value = |(name, output): (&String, &Value)| {
            Some((name.clone(), scope.resolve(&output["Value"])?))
        };
        Self {
            resources: resources.collect(),
            outputs: outputs.filter_map(value).collect(),
            refusals: rules.flat_map(|rule| scope.refusals(rule)).collect(),
        }
    }

    /// Why `CloudFormation` refuses the parameters: what its rules say.
    pub fn refusals(&self) -> &[String] {
        &self.refusals
    }

    /// All resources, by name.
    pub fn all(&self) -> &Map<String, Value> {
        &self.resources
    }

    /// The values of the outputs.
    pub fn outputs(&self) -> &Map<String, Value> {
        &self.outputs
    }

    /// The properties of the resources of a type, by name.
    pub fn resources(&self, kind: &str) -> Vec<(String, Value)> {
        self.resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == kind)
            .map(|(name, resource)| (name.clone(), resource["Properties"].clone()))
            .collect()
    }
}

/// Adds the globals to a function's properties: maps are merged, and the function's own values win.
fn merge(own: &mut Value, globals: &Value) {
    match (own, globals) {
        (Value::Object(own), Value::Object(globals)) if !is_function(own) => {
            for (name, global) in globals {
                merge(own.entry(name.clone()).or_insert(Value::Null), global);
            }
        }
        (own @ Value::Null, global) => *own = global.clone(),
        _ => {}
    }
}

fn is_function(members: &Map<String, Value>) -> bool {
    let name = members.keys().next().map_or("", String::as_str);
    members.len() == 1 && (name == "Ref" || name == "Condition" || name.starts_with("Fn::"))
}

/// What references lead to.
struct Scope<'s> {
    parameters: BTreeMap<&'s str, String>,
    conditions: &'s Map<String, Value>,
}

impl Scope<'_> {
    fn condition(&self, name: &str) -> bool {
        let condition = self.conditions.get(name);
        let condition =
            condition.unwrap_or_else(|| panic!("template.yaml has no condition {name}"));
        self.resolve(condition) == Some(json!(true))
    }

    /// What a rule says against the parameters.
    fn refusals(&self, rule: &Value) -> Vec<String> {
        let holds = |condition: &Value| self.resolve(condition) == Some(json!(true));
        let applies = rule.get("RuleCondition").is_none_or(holds);
        let assertions = rule["Assertions"].as_array().into_iter().flatten();
        let failed = assertions.filter(|one| applies && !holds(&one["Assert"]));
        failed.map(|one| text(&one["AssertDescription"])).collect()
    }

    /// `None` is `AWS::NoValue`: what holds it has no such member.
    fn resolve(&self, value: &Value) -> Option<Value> {
        match value {
            Value::Object(members) if is_function(members) => {
                let (function, argument) = members.iter().next()?;
                self.call(function, argument)
            }
            Value::Object(members) => Some(
                members
                    .iter()
                    .filter_map(|(name, member)| Some((name.clone(), self.resolve(member)?)))
                    .collect(),
            ),
            Value::Array(items) => {
                Some(items.iter().filter_map(|item| self.resolve(item)).collect())
            }
            plain => Some(plain.clone()),
        }
    }

    fn call(&self, function: &str, argument: &Value) -> Option<Value> {
        let argument_at = |index: usize| self.resolve(&argument[index]);
        match function {
            "Ref" => self.reference(argument.as_str()?),
            "Condition" => Some(json!(self.condition(argument.as_str()?))),
            "Fn::If" if self.condition(argument[0].as_str()?) => argument_at(1),
            "Fn::If" => argument_at(2),
            "Fn::Equals" => Some(json!(argument_at(0) == argument_at(1))),
            "Fn::Not" => Some(json!(argument_at(0) == Some(json!(false)))),
            "Fn::Join" => Some(json!(self.join(argument))),
            "Fn::And" => Some(json!(self.all(argument).all(|holds| holds))),
            "Fn::Or" => Some(json!(self.all(argument).any(|holds| holds))),
            "Fn::Sub" => Some(json!(self.substitute(argument))),
            "Fn::Select" => {
                let index = usize::try_from(argument[0].as_u64()?).ok()?;
                Some(argument_at(1)?[index].clone())
            }
            // As good as their values.
            "Fn::GetAZs" => Some(json!(["zone 0", "zone 1", "zone 2"])),
            "Fn::Cidr" => Some((0..argument[1].as_u64()?).map(|part| json!(part)).collect()),
            // The name of the attribute is as good as its value here.
            "Fn::GetAtt" => Some(argument.clone()),
            other => panic!("template.yaml uses {other}, which this test can't resolve"),
        }
    }

    /// A parameter's value; for a resource its name.
    fn reference(&self, name: &str) -> Option<Value> {
        let parameter = self.parameters.get(name).map_or(name, String::as_str);
        (name != "AWS::NoValue").then(|| json!(parameter))
    }

    fn join(&self, argument: &Value) -> String {
        let items = self.resolve(&argument[1]).unwrap_or_default();
        let items: Vec<_> = match &items {
            Value::Array(items) => items.iter().map(text).collect(),
            list => vec![text(list)],
        };
        items.join(&text(&argument[0]))
    }

    /// Whether each of these conditions holds.
    fn all(&self, conditions: &Value) -> impl Iterator<Item = bool> {
        let conditions = conditions.as_array().into_iter().flatten();
        conditions.map(|condition| self.resolve(condition) == Some(json!(true)))
    }

    /// `${Name}` becomes what `!Ref Name` is, or the value that stands beside the text.
    fn substitute(&self, argument: &Value) -> String {
        let (text, own) = match argument {
            Value::Array(pair) => (&pair[0], &pair[1]),
            text => (text, &Value::Null),
        };
        let text = text.as_str().unwrap_or_default();
        let mut parts = text.split("${");
        let mut result = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once('}').unwrap();
            let value = match own.get(name) {
                Some(own) => self.resolve(own),
                None => self.reference(name),
            };
            let value = value.unwrap_or_default();
            result = result + value.as_str().unwrap_or_default() + rest;
        }
        result
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        value => value.to_string(),
    }
}
