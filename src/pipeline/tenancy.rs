//! Whose artifacts they are.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use slimspan_proto::{Field, Fields, Items, Signal, WireType, count};

use crate::client::Client;
use crate::compute::{self, Panicked};
use crate::config::{ContextKey, TenantConfig};
use crate::refusal::{Culprit, Refusal};
use crate::sift::{Rejected, Sifted};
use crate::tenant::TenantId;

/// Larger requests are divided on threads for such work: a resource may have any number of attributes,
/// and there may be many resources.
const INLINE: usize = 128 * 1024;

/// Finds out whose a request is, and how much of it its tenant may have under way.
#[derive(Debug)]
pub struct Tenancy {
    config: TenantConfig,
    /// The path of its configuration, for people.
    key: String,
    in_flight: Arc<Mutex<HashMap<TenantId, u64>>>,
}

/// Resources of a request that follow each other and are one tenant's.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) tenant: TenantId,
    /// They alone, as a request.
    pub(super) request: Bytes,
    /// How many items that has.
    pub(super) items: usize,
}

/// A request by tenants.
#[derive(Debug)]
pub(super) struct Divided {
    /// In the order of the request.
    pub(super) runs: Vec<Run>,
    /// Which of all items go on apart from the others.
    pub(super) isolated: Vec<Range<usize>>,
    /// What is nobody's.
    pub(super) rejected: Option<Rejected>,
}

/// Bytes of a tenant that are under way for as long as this lives.
#[derive(Debug)]
pub(super) struct InFlight {
    table: Arc<Mutex<HashMap<TenantId, u64>>>,
    tenant: TenantId,
    bytes: u64,
}

/// Why a resource is nobody's.
#[derive(Debug, Clone, Copy)]
enum Nobody {
    Unnamed,
    Invalid,
    Ambiguous,
}

impl Tenancy {
    /// As `config` says, which stands under the path `key`.
    pub fn new(config: TenantConfig, key: String) -> Self {
        Self {
            config,
            key,
            in_flight: Arc::default(),
        }
    }

    /// Divides a request of `client` by tenants, where it holds up no other request.
    pub(super) async fn divided(
        self: &Arc<Self>,
        signal: Signal,
        client: &Client,
        sifted: &Sifted,
    ) -> Result<Divided, Refusal> {
        let is_asked = self.config.from_attribute.is_some();
        if !is_asked || sifted.request.len() <= INLINE {
            return self.divide(signal, client, sifted);
        }
        if let Some(tenant) = self.of_context(client)? {
            return Ok(Divided::whole(tenant, sifted));
        }
        let (this, sifted) = (Arc::clone(self), sifted.clone());
        let work = move || this.divide_by_resource(signal, &sifted);
        compute::run(work).await.unwrap_or_else(Panicked::go_on)
    }

    /// Divides a request of `client` by tenants.
    fn divide(&self, signal: Signal, client: &Client, sifted: &Sifted) -> Result<Divided, Refusal> {
        if let Some(tenant) = self.of_context(client)? {
            return Ok(Divided::whole(tenant, sifted));
        }
        self.divide_by_resource(signal, sifted)
    }

    fn divide_by_resource(&self, signal: Signal, sifted: &Sifted) -> Result<Divided, Refusal> {
        let Some(attribute) = &self.config.from_attribute else {
            let tenant = self.config.default.clone();
            let tenant = tenant.ok_or_else(|| self.refusal(Nobody::Unnamed))?;
            return Ok(Divided::whole(tenant, sifted));
        };
        let request = &sifted.request;
        let mut runs: Vec<(Result<TenantId, Nobody>, Range<usize>)> = Vec::new();
        let mut start = 0;
        for field in Fields::new(request, 0..request.len()) {
            let field = field?;
            if field.number != 1 || field.wire_type != WireType::Len {
                // Unknown to this version, and no resource: it stays where it is.
                if let Some((_, last)) = runs.last_mut() {
                    start = field.body.end;
                    last.end = start;
                }
                continue;
            }
            let range = start..field.body.end;
            start = range.end;
            let tenant = self.of_resource(request, &field, attribute);
            match (runs.last_mut(), &tenant) {
                (Some((Ok(of_last), last)), Ok(tenant)) if of_last == tenant => {
                    last.end = range.end;
                }
                _ => runs.push((tenant, range)),
            }
        }
        match runs.as_slice() {
            [] => Ok(Divided::whole(TenantId::default(), sifted)),
            [(Ok(tenant), _)] => Ok(Divided::whole(tenant.clone(), sifted)),
            _ => self.in_runs(signal, sifted, runs),
        }
    }

    fn in_runs(
        &self,
        signal: Signal,
        sifted: &Sifted,
        runs: Vec<(Result<TenantId, Nobody>, Range<usize>)>,
    ) -> Result<Divided, Refusal> {
        let mut divided = Divided {
            runs: Vec::new(),
            isolated: sifted.isolated.clone(),
            rejected: None,
        };
        let mut lost = Vec::new();
        let (mut items, mut rejected, mut why) = (0, 0, None);
        for (tenant, range) in runs {
            let request = sifted.request.slice(range);
            let len = Items::read(signal, &request)?.len();
            let weight = count(signal, &request);
            match tenant {
                Ok(tenant) => divided.runs.push(Run {
                    tenant,
                    request,
                    items: weight,
                }),
                Err(nobody) => {
                    rejected += weight;
                    lost.push(items..items + len);
                    why = why.or(Some(nobody));
                }
            }
            items += len;
        }
        let Some(nobody) = why else {
            return Ok(divided);
        };
        let refusal = self.refusal(nobody);
        if divided.runs.is_empty() {
            return Err(refusal);
        }
        divided.isolated = without(&sifted.isolated, &lost);
        divided.rejected = (rejected > 0).then(|| Rejected {
            count: rejected,
            reason: refusal.to_string(),
        });
        Ok(divided)
    }

    fn of_context(&self, client: &Client) -> Result<Option<TenantId>, Refusal> {
        let invalid = || self.refusal(Nobody::Invalid);
        match &self.config.from_context {
            None => Ok(None),
            Some(ContextKey::Auth(attribute)) => client
                .auth(attribute)
                .map(|name| name.parse().map_err(|_| invalid()))
                .transpose(),
            Some(ContextKey::Metadata(name)) => {
                let mut values = client.metadata(name);
                let Some(value) = values.next() else {
                    return Ok(None);
                };
                if values.any(|other| other != value) {
                    return Err(self.refusal(Nobody::Ambiguous));
                }
                let name = value.to_str().map_err(|_| invalid())?;
                name.parse().map(Some).map_err(|_| invalid())
            }
        }
    }

    /// The tenant that the attribute `name` of a `ResourceSpans` or its like names.
    fn of_resource(&self, request: &[u8], field: &Field, name: &str) -> Result<TenantId, Nobody> {
        let mut found: Option<&[u8]> = None;
        for resource in messages(request, field.body.clone(), 1) {
            for attribute in messages(request, resource, 1) {
                // Of two keys the last one counts, as decoders have it.
                let key = messages(request, attribute.clone(), 1).last();
                let key = key.and_then(|key| request.get(key));
                if key != Some(name.as_bytes()) {
                    continue;
                }
                for value in messages(request, attribute, 2) {
                    for text in messages(request, value, 1) {
                        let text = request.get(text).unwrap_or_default();
                        if found.is_some_and(|found| found != text) {
                            return Err(Nobody::Ambiguous);
                        }
                        found = Some(text);
                    }
                }
            }
        }
        match found {
            Some(name) => {
                let name = std::str::from_utf8(name).map_err(|_| Nobody::Invalid)?;
                name.parse().map_err(|_| Nobody::Invalid)
            }
            None => self.config.default.clone().ok_or(Nobody::Unnamed),
        }
    }

    /// Lets a request go on, unless its tenant has enough under way.
    pub(super) fn admit(&self, tenant: &TenantId, bytes: usize) -> Result<InFlight, Refusal> {
        let bytes = bytes as u64;
        let mut table = lock(&self.in_flight);
        let in_flight = table.get(tenant).copied().unwrap_or_default();
        if let Some(limit) = self.config.max_in_flight
            // One that is larger than the limit goes alone.
            && in_flight > 0
            && in_flight + bytes > limit.as_u64()
        {
            return Err(Refusal::unavailable(
                Culprit::Sender,
                format!(
                    "the tenant {tenant} has {in_flight} bytes under way, and {bytes} more are over \
                     the {limit} of {}.max_in_flight",
                    self.key
                ),
            ));
        }
        table.insert(tenant.clone(), in_flight + bytes);
        drop(table);
        Ok(InFlight {
            table: Arc::clone(&self.in_flight),
            tenant: tenant.clone(),
            bytes,
        })
    }

    fn refusal(&self, nobody: Nobody) -> Refusal {
        let key = &self.key;
        let TenantConfig {
            from_context,
            from_attribute,
            ..
        } = &self.config;
        let context = from_context.as_ref().map(ToString::to_string);
        let attribute = from_attribute.as_ref();
        let attribute = attribute.map(|name| format!("the resource attribute {name}"));
        let named: Vec<String> = context.into_iter().chain(attribute).collect();
        let named = named.join(" or ");
        Refusal::malformed(match nobody {
            Nobody::Unnamed => format!(
                "nothing says whose it is: {named} has to name a tenant, as {key} has no default"
            ),
            Nobody::Invalid => format!(
                "{named} names no tenant that there can be: 1 to 64 of the characters a-z, 0-9, _ \
                 and - (see {key})"
            ),
            Nobody::Ambiguous => format!("{named} names several tenants (see {key})"),
        })
    }
}

impl Divided {
    fn whole(tenant: TenantId, sifted: &Sifted) -> Self {
        let rejected = sifted.rejected.as_ref().map_or(0, |of| of.count);
        Self {
            runs: vec![Run {
                tenant,
                request: sifted.request.clone(),
                items: sifted.count.saturating_sub(rejected),
            }],
            isolated: sifted.isolated.clone(),
            rejected: None,
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut table = lock(&self.table);
        if let Some(in_flight) = table.get_mut(&self.tenant) {
            *in_flight = in_flight.saturating_sub(self.bytes);
            if *in_flight == 0 {
                table.remove(&self.tenant);
            }
        }
    }
}

fn lock<K>(table: &Mutex<HashMap<K, u64>>) -> MutexGuard<'_, HashMap<K, u64>> {
    // Nothing under the lock panics half-way.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The fields with a length of that number, up to the first that is not sound.
fn messages(
    request: &[u8],
    range: Range<usize>,
    number: u32,
) -> impl Iterator<Item = Range<usize>> {
    Fields::new(request, range)
        .map_while(Result::ok)
        .filter(move |field| field.number == number && field.wire_type == WireType::Len)
        .map(|field| field.body)
}

/// The `ranges` of what is left without what is `lost`. Both ascend, and none overlaps another of its own.
fn without(ranges: &[Range<usize>], lost: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut lost = lost.iter().peekable();
    let mut gone = 0;
    let mut left_until = |index: usize| {
        while let Some(whole) = lost.next_if(|lost| lost.end <= index) {
            gone += whole.len();
        }
        let part = lost
            .peek()
            .map_or(0, |lost| index.saturating_sub(lost.start));
        index - gone - part
    };
    let ranges = ranges
        .iter()
        .map(|range| left_until(range.start)..left_until(range.end));
    ranges.filter(|range| !range.is_empty()).collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use http::{HeaderMap, HeaderValue};
    use slimspan_generators::wire::nested;

    use super::*;

    fn config(from_context: Option<&str>, from_attribute: Option<&str>) -> TenantConfig {
        TenantConfig {
            from_context: from_context.map(|key| key.parse().unwrap()),
            from_attribute: from_attribute.map(ToOwned::to_owned),
            ..TenantConfig::default()
        }
    }

    fn tenancy(config: TenantConfig) -> Tenancy {
        Tenancy::new(config, "processors.artifact.tenant".to_owned())
    }

    /// A `ResourceSpans` of as many empty spans.
    fn resource(tenants: &[&[u8]], spans: usize) -> Vec<u8> {
        let attributes = tenants.iter().map(|name| {
            let value = nested(&[2, 1], name);
            nested(&[1], [nested(&[1], b"tenant.id"), value].concat())
        });
        let attributes: Vec<u8> = attributes.collect::<Vec<_>>().concat();
        let spans = nested(&[2], b"").repeat(spans);
        nested(
            &[1],
            [nested(&[1], &attributes), nested(&[2], &spans)].concat(),
        )
    }

    fn sifted(request: Vec<u8>, isolated: &[Range<usize>]) -> Sifted {
        Sifted {
            request: request.into(),
            count: 0,
            rejected: None,
            isolated: isolated.to_vec(),
            indices: 0,
        }
    }

    fn client(values: &[&'static str]) -> Client {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-scope-orgid", HeaderValue::from_static(value));
        }
        Client::unknown().with_metadata(headers)
    }

    fn names(divided: &Divided) -> Vec<(&str, usize)> {
        let runs = divided.runs.iter();
        runs.map(|run| (run.tenant.as_str(), count(Signal::Traces, &run.request)))
            .collect()
    }

    #[test]
    fn metadata_names_one_tenant_or_the_request_is_refused() {
        let mut with_default = config(Some("metadata.X-Scope-OrgID"), None);
        with_default.default = Some("spare".parse().unwrap());
        let strict = tenancy(config(Some("metadata.X-Scope-OrgID"), None));
        let lenient = tenancy(with_default);
        let request = sifted(resource(&[], 1), &[]);
        let of = |tenancy: &Tenancy, values: &[&'static str]| {
            let divided = tenancy.divide(Signal::Traces, &client(values), &request);
            divided
                .map(|divided| divided.runs[0].tenant.to_string())
                .map_err(|refusal| (refusal.is_retryable(), refusal.to_string()))
        };
        assert_eq!(of(&strict, &["acme"]).unwrap(), "acme");
        assert_eq!(of(&strict, &["acme", "acme"]).unwrap(), "acme");
        assert_eq!(of(&lenient, &[]).unwrap(), "spare");
        for (tenancy, values, told) in [
            (&strict, &[][..], "nothing says whose it is"),
            (&strict, &["acme", "beta"], "several tenants"),
            (&strict, &["../x"], "names no tenant that there can be"),
            (&lenient, &[""], "names no tenant that there can be"),
            (&lenient, &["Acme"], "names no tenant that there can be"),
        ] {
            let (retryable, text) = of(tenancy, values).unwrap_err();
            assert!(!retryable);
            assert!(text.contains(told), "{text}");
            assert!(text.contains("metadata.x-scope-orgid"), "{text}");
            assert!(!text.contains("../x") && !text.contains("Acme"), "{text}");
        }
    }

    #[test]
    fn what_the_authenticator_says_names_a_tenant() {
        let tenancy = tenancy(config(Some("auth.username"), None));
        let request = sifted(resource(&[], 1), &[]);
        let auth = [("username".to_owned(), "acme".to_owned())];
        let client = Client::unknown().with_auth(auth.into());
        let divided = tenancy.divide(Signal::Traces, &client, &request).unwrap();
        assert_eq!(names(&divided), [("acme", 1)]);
        let refused = tenancy.divide(Signal::Traces, &Client::unknown(), &request);
        assert!(refused.is_err());
    }

    #[test]
    fn resources_of_several_tenants_stay_in_their_order() {
        let tenancy = tenancy(config(None, Some("tenant.id")));
        let parts = [
            resource(&[b"acme"], 1),
            resource(&[b"acme"], 2),
            resource(&[b"beta"], 3),
            nested(&[9], b"unknown"),
            resource(&[b"acme"], 4),
        ];
        let request = sifted(parts.concat(), &[1..2, 5..6]);
        let divided = tenancy
            .divide(Signal::Traces, &Client::unknown(), &request)
            .unwrap();
        assert_eq!(names(&divided), [("acme", 3), ("beta", 3), ("acme", 4)]);
        let runs = divided.runs.iter().flat_map(|run| run.request.to_vec());
        assert_eq!(runs.collect::<Bytes>(), request.request);
        assert_eq!(divided.isolated, [1..2, 5..6]);
        assert_eq!(divided.rejected, None);
    }

    #[test]
    fn what_is_nobodys_is_rejected_and_the_rest_goes_on() {
        let tenancy = tenancy(config(None, Some("tenant.id")));
        let parts = [
            resource(&[b"acme"], 2),
            resource(&[b"../x"], 3),
            resource(&[b"acme", b"beta"], 1),
            resource(&[], 1),
            resource(&[b"beta"], 2),
        ];
        let request = sifted(parts.concat(), &[1..3, 4..5, 8..9]);
        let divided = tenancy
            .divide(Signal::Traces, &Client::unknown(), &request)
            .unwrap();
        assert_eq!(names(&divided), [("acme", 2), ("beta", 2)]);
        assert_eq!(divided.isolated, [1..2, 3..4]);
        let rejected = divided.rejected.unwrap();
        assert_eq!(rejected.count, 5);
        assert!(rejected.reason.contains("the resource attribute tenant.id"));

        let nobodys = sifted(resource(&[b"A"], 3), &[]);
        let refused = tenancy.divide(Signal::Traces, &Client::unknown(), &nobodys);
        assert!(!refused.unwrap_err().is_retryable());
    }

    #[test]
    fn a_tenant_has_so_much_under_way_and_others_have_theirs() {
        let mut config = config(None, Some("tenant.id"));
        config.max_in_flight = Some(bytesize::ByteSize::b(100));
        let tenancy = tenancy(config);
        let (acme, beta) = ("acme".parse().unwrap(), "beta".parse().unwrap());
        let first = tenancy.admit(&acme, 60).unwrap();
        let refused = tenancy.admit(&acme, 41).unwrap_err();
        assert!(refused.is_retryable());
        assert!(
            refused
                .to_string()
                .contains("processors.artifact.tenant.max_in_flight")
        );
        let second = tenancy.admit(&acme, 40).unwrap();
        let other = tenancy.admit(&beta, 1000).unwrap();
        assert!(tenancy.admit(&beta, 1).is_err());
        drop((first, second, other));
        assert!(lock(&tenancy.in_flight).is_empty());
        drop(tenancy.admit(&acme, 41).unwrap());
    }
}
