//! What must hold for `infra/gateway.yaml`, by the same two steps: every rule holds, and each refuses broken copies.

use serde_json::{Value, json};

use super::stack::Stack;
use super::{Rule, read, root, set};

const RULES: &[(&str, Rule)] = &[
    ("lines come from the network that was named", lines_come_from_the_network_that_was_named),
    ("machines are reached through the balancer alone", machines_are_reached_through_the_balancer_alone),
    ("ports agree", ports_agree),
    ("machines know no more than their key's place", machines_know_no_more_than_their_keys_place),
    ("one is always there", one_is_always_there),
    ("machines are set up by what the package brings", machines_are_set_up_by_what_the_package_brings),
];

fn template() -> Stack {
    let text = std::fs::read_to_string(root().join("infra/gateway.yaml")).expect("the template is there");
    Stack(read::yaml(&text).expect("the template is YAML without anchors"))
}

fn unless(holds: bool, complaint: &str) -> Vec<String> {
    if holds { Vec::new() } else { vec![complaint.to_owned()] }
}

fn ingress<'a>(stack: &'a Stack, group: &str) -> impl Iterator<Item = &'a Value> {
    stack.properties(group)["SecurityGroupIngress"].as_array().into_iter().flatten()
}

fn lines_come_from_the_network_that_was_named(stack: &Stack) -> Vec<String> {
    let named = json!({ "Ref": "AllowedCidr" });
    let fits = |rule: &Value| {
        rule["CidrIp"] == named && (port(&rule["FromPort"]), port(&rule["ToPort"])) == (Some(2003), Some(2003))
    };
    let bad = ingress(stack, "BalancerGroup").filter(|rule| !fits(rule)).map(ToString::to_string);
    let internal = stack.properties("Balancer")["Scheme"] == "internal";
    bad.chain(unless(internal, "the balancer is not internal")).collect()
}

fn machines_are_reached_through_the_balancer_alone(stack: &Stack) -> Vec<String> {
    let balancer = json!({ "Ref": "BalancerGroup" });
    let bad = ingress(stack, "GatewayGroup").filter(|rule| rule["SourceSecurityGroupId"] != balancer);
    let bad: Vec<String> = bad.map(ToString::to_string).collect();
    let groups = &stack.properties("Machine")["LaunchTemplateData"]["SecurityGroupIds"];
    bad.into_iter().chain(unless(*groups == json!([{ "Ref": "GatewayGroup" }]), "a machine has other groups")).collect()
}

/// A number, written as one or as a text.
fn port(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Lines and health checks may come in where they are sent to, by both transports.
fn ports_agree(stack: &Stack) -> Vec<String> {
    let (targets, listener) = (stack.properties("Gateways"), stack.properties("Listener"));
    let open = |group: &str, transport: &str, number: u64| {
        ingress(stack, group).any(|rule| rule["IpProtocol"] == transport && port(&rule["FromPort"]) == Some(number))
    };
    let lines = [targets, listener].iter().all(|it| port(&it["Port"]) == Some(2003) && it["Protocol"] == "TCP_UDP");
    let doors =
        ["BalancerGroup", "GatewayGroup"].iter().all(|group| ["tcp", "udp"].iter().all(|by| open(group, by, 2003)));
    let health = port(&targets["HealthCheckPort"]) == Some(2080) && targets["HealthCheckProtocol"] == "HTTP";
    let mut complaints = unless(lines, "listener and targets are not TCP_UDP 2003");
    complaints.extend(unless(doors, "a group does not let lines in"));
    complaints.extend(unless(health && open("GatewayGroup", "tcp", 2080), "health checks do not get in"));
    complaints
}

fn machines_know_no_more_than_their_keys_place(stack: &Stack) -> Vec<String> {
    let may: Vec<&Value> = stack.statements().into_iter().map(|(_, statement)| statement).collect();
    let one = may.iter().filter(|statement| statement["Action"] != "sts:AssumeRole");
    let right = one.clone().all(|statement| {
        let resource = statement["Resource"]["Fn::Sub"].as_str().unwrap_or_default();
        statement["Action"] == "ssm:GetParameter" && resource.ends_with(":parameter${AgentKeyParameter}")
    });
    let data = &stack.properties("Machine")["LaunchTemplateData"];
    let disk = &data["BlockDeviceMappings"][0]["Ebs"]["Encrypted"];
    let mut complaints = unless(right, "a machine may do more than read its key");
    complaints.extend(unless(data["MetadataOptions"]["HttpTokens"] == "required", "metadata without a token"));
    complaints.extend(unless(disk == true || disk == "true", "the disk, which holds the buffer, is not encrypted"));
    complaints.extend(unless(!stack.0.to_string().contains("dw_agent_"), "a key stands in the template"));
    complaints
}

fn one_is_always_there(stack: &Stack) -> Vec<String> {
    let fleet = stack.properties("Fleet");
    let rolling = &stack.0["Resources"]["Fleet"]["UpdatePolicy"]["AutoScalingRollingUpdate"]["MinInstancesInService"];
    let mut complaints = unless(port(&fleet["MinSize"]) >= Some(2), "fewer than two machines");
    complaints.extend(unless(port(rolling) >= Some(1), "an update takes all machines at once"));
    complaints.extend(unless(fleet["HealthCheckType"] == "ELB", "an agent that is gone is not replaced"));
    complaints
}

/// The line that the user data replaces is the packaged configuration's own, in its section of Graphite.
fn machines_are_set_up_by_what_the_package_brings(stack: &Stack) -> Vec<String> {
    let data = &stack.properties("Machine")["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"];
    let script = data.as_str().unwrap_or_default();
    let Some((pattern, rest)) = script.split_once("sed -i 's|^").and_then(|(_, rest)| rest.split_once("$|")) else {
        return vec!["nothing makes a gateway of the agent".to_owned()];
    };
    let becomes =
        rest.split('|').next().unwrap_or_default().replace("\\n", "\n").replace("${AllowedCidr}", "10.0.0.0/8");
    let packaged = std::fs::read_to_string(root().join("packaging/agent.toml")).expect("the package has one");
    let lines: Vec<&str> = packaged.lines().collect();
    let found: Vec<usize> = (0..lines.len()).filter(|at| lines[*at] == pattern).collect();
    let section = |at: usize| lines[..at].iter().rev().find(|line| line.starts_with('[')).copied();
    let mut complaints =
        unless(found.len() == 1 && section(found[0]) == Some("[graphite]"), "the line is not there once");
    for wanted in
        ["listen = \"0.0.0.0:2003\"", "gateway = true", "allow = [\"10.0.0.0/8\"]", "health_listen = \"0.0.0.0:2080\""]
    {
        complaints.extend(unless(becomes.lines().any(|line| line == wanted), wanted));
    }
    complaints.extend(unless(script.contains("daywatch-agent --check-config"), "what it becomes is not checked"));
    complaints
}

fn breaks() -> Vec<(&'static str, &'static str, Value)> {
    let anywhere = json!({ "IpProtocol": "tcp", "FromPort": 2003, "ToPort": 2003, "CidrIp": "0.0.0.0/0" });
    let statement = json!({ "Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*" });
    let script = |text: &str| json!({ "Fn::Sub": text });
    vec![
        (
            "lines come from the network that was named",
            "/BalancerGroup/Properties/SecurityGroupIngress/-",
            anywhere.clone(),
        ),
        ("lines come from the network that was named", "/Balancer/Properties/Scheme", json!("internet-facing")),
        (
            "machines are reached through the balancer alone",
            "/GatewayGroup/Properties/SecurityGroupIngress/-",
            anywhere,
        ),
        (
            "machines are reached through the balancer alone",
            "/Machine/Properties/LaunchTemplateData/SecurityGroupIds/-",
            json!({ "Ref": "Other" }),
        ),
        ("ports agree", "/Listener/Properties/Protocol", json!("TCP")),
        ("ports agree", "/Gateways/Properties/Port", json!(2004)),
        ("ports agree", "/Gateways/Properties/HealthCheckPort", json!("2003")),
        ("ports agree", "/GatewayGroup/Properties/SecurityGroupIngress/1/IpProtocol", json!("tcp")),
        (
            "machines know no more than their key's place",
            "/GatewayRole/Properties/Policies/0/PolicyDocument/Statement/-",
            statement,
        ),
        (
            "machines know no more than their key's place",
            "/Machine/Properties/LaunchTemplateData/MetadataOptions/HttpTokens",
            json!("optional"),
        ),
        (
            "machines know no more than their key's place",
            "/Machine/Properties/LaunchTemplateData/BlockDeviceMappings/0/Ebs/Encrypted",
            json!(false),
        ),
        ("machines know no more than their key's place", "//Parameters/Key", json!({ "Default": "dw_agent_x" })),
        ("one is always there", "/Fleet/Properties/MinSize", json!("1")),
        ("one is always there", "/Fleet/Properties/HealthCheckType", json!("EC2")),
        ("one is always there", "/Fleet/UpdatePolicy", Value::Null),
        (
            "machines are set up by what the package brings",
            "/Machine/Properties/LaunchTemplateData/UserData/Fn::Base64",
            script("sed -i 's|^listen = \"127.0.0.1:2000\"$|gateway = true|'"),
        ),
        (
            "machines are set up by what the package brings",
            "/Machine/Properties/LaunchTemplateData/UserData",
            Value::Null,
        ),
    ]
}

#[test]
fn the_gateways_template_keeps_every_rule() {
    let whole = template();
    let complaints =
        RULES.iter().flat_map(|(name, rule)| rule(&whole).into_iter().map(move |it| format!("{name}: {it}")));
    let complaints: Vec<String> = complaints.collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn each_rule_of_the_gateway_refuses_broken_copies() {
    for (name, pointer, value) in breaks() {
        let mut broken = template();
        set(&mut broken, pointer, value.clone());
        let (_, rule) = RULES.iter().find(|(known, _)| *known == name).expect("a rule of that name");
        assert!(!rule(&broken).is_empty(), "{name} takes {pointer} = {value}");
    }
    for (name, _) in RULES {
        assert!(breaks().iter().any(|(broken, ..)| broken == name), "{name} is shown no broken copy");
    }
}
