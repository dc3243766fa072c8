using System.Text.Json.Nodes;

namespace Cnvm.Api.Tests.Conformance;

/// <summary>
/// Every field of VmConfig and of what is in it, one by one: it is taken and <c>vm.info</c> shows it under its key, or it is refused by its
/// name; and README lists those that are refused.
/// </summary>
public sealed class ConfigEchoTests : IDisposable
{
    private const string NotSupported = "not supported yet by cnvm";

    /// <summary>What else has to be set for a field to make sense, by the field's path.</summary>
    private static readonly Dictionary<string, string> Companions = new()
    {
        ["cpus.boot_vcpus"] = """{"cpus":{"max_vcpus":2}}""",
        ["memory.hotplugged_size"] = """{"memory":{"size":268435456,"hotplug_size":134217728}}""",
        ["memory.hugepage_size"] = """{"memory":{"hugepages":true}}""",
        ["memory.zones"] = """{"memory":{"size":0}}""",
        ["memory.zones[].hugepage_size"] = """{"memory":{"zones":[{"hugepages":true}]}}""",
        ["disks[].num_queues"] = """{"cpus":{"boot_vcpus":2,"max_vcpus":2}}""",
        ["net[].num_queues"] = """{"cpus":{"boot_vcpus":2,"max_vcpus":2}}""",
        ["disks[].rate_limit_group"] = """{"rate_limit_groups":[{"id":"/rate_limit_group","rate_limiter_config":{}}]}""",
        ["disks[].vhost_user"] = """{"memory":{"size":8388608,"shared":true},"disks":[{"path":null,"vhost_socket":"/s"}]}""",
        ["disks[].vhost_socket"] = """{"memory":{"size":8388608,"shared":true},"disks":[{"path":null,"vhost_user":true}]}""",
        ["net[].vhost_user"] = """{"memory":{"size":8388608,"shared":true},"net":[{"vhost_socket":"/s"}]}""",
        ["net[].vhost_socket"] = """{"memory":{"size":8388608,"shared":true},"net":[{"vhost_user":true}]}""",
        ["fs[].socket"] = """{"memory":{"size":8388608,"shared":true},"fs":[{"path":null}]}""",
        ["net[].mask"] = """{"net":[{"ip":"192.168.249.1"}]}""",
    };

    /// <summary>Older keys, and under which ones they are shown.</summary>
    private static readonly Dictionary<string, string> Renamed = new()
    {
        ["platform.serial_number"] = "system_serial_number",
        ["platform.uuid"] = "system_uuid",
        ["platform.iommu_address_width"] = "iommu_address_width_bits",
    };

    private readonly ServerFixture _server = new();
    private readonly RawClient _client;

    public ConfigEchoTests() => _client = _server.Connect();

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
    }

    [Fact]
    public void Each_field_is_shown_or_refused_by_name()
    {
        List<string> refused = [];
        int taken = 0;
        foreach ((string path, ContractField field) in Walk("VmConfig", ""))
        {
            JsonNode value = SampleValue.Of(field);
            JsonObject body = Body(path, field, value);
            RawAnswer answer = _client.Request("PUT", "vm.create", body.ToJsonString());
            if (answer.Status == 400)
            {
                string named = path.Replace("[]", "[0]", StringComparison.Ordinal);
                named = Renamed.TryGetValue(path, out string? key) ? named[..(named.LastIndexOf('.') + 1)] + key : named;
                Assert.True(
                    answer.Chain[^1].Contains(named + ": ", StringComparison.Ordinal) && answer.Chain[^1].Contains(NotSupported, StringComparison.Ordinal),
                    $"{path} = {value.ToJsonString()}: {answer.Text}");
                refused.Add(path);
                continue;
            }

            Assert.True(answer.Status == 204, $"{path} = {value.ToJsonString()}: {answer.Text}");
            JsonNode config = JsonNode.Parse(_client.Request("GET", "vm.info").Body)!["config"]!;
            JsonNode? shown = Find(config, path);
            Assert.True(Contains(shown, value), $"{path} = {value.ToJsonString()} is shown as {shown?.ToJsonString()}");
            Assert.Equal(204, _client.Request("PUT", "vm.delete").Status);
            taken++;
        }

        Assert.InRange(taken, 90, int.MaxValue);
        Assert.Equal(refused.Order(StringComparer.Ordinal), Listed().Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Each_field_of_a_wrong_type_is_named_and_nulls_are_as_if_nothing_stood_there()
    {
        foreach ((string path, ContractField field) in Walk("VmConfig", "", intoRefused: true))
        {
            RawAnswer answer = _client.Request("PUT", "vm.create", Body(path, field, SampleValue.WrongFor(field)).ToJsonString());
            string named = path.Replace("[]", "[0]", StringComparison.Ordinal);
            Assert.True(answer.Status == 400 && answer.Chain[^1].Contains(named, StringComparison.Ordinal), $"{path}: {answer.Text}");
            bool mayBeNull = !field.IsRequired && field.Default is null && (field.Type is "string" || field.Type[0] == '[' || Contract.IsSchema(field.Type));
            if (mayBeNull && path != "disks[].path")
            {
                JsonObject body = Body(path, field, null);
                RawAnswer with = _client.Request("PUT", "vm.create", body.ToJsonString());
                _client.Request("PUT", "vm.delete");
                Remove(body, path);
                RawAnswer without = _client.Request("PUT", "vm.create", body.ToJsonString());
                _client.Request("PUT", "vm.delete");
                Assert.Equal((path, without.Status, without.Text), (path, with.Status, with.Text));
            }
        }
    }

    [Fact]
    public void Only_rate_limiters_refuse_keys_that_nobody_knows()
    {
        foreach ((string path, ContractField field) in Walk("VmConfig", "", intoRefused: true).Where(f => Contract.IsSchema(f.Field.Type)))
        {
            var value = (JsonObject)SampleValue.Of(field);
            value["from_the_future"] = 1;
            RawAnswer answer = _client.Request("PUT", "vm.create", Body(path, field, value).ToJsonString());
            _client.Request("PUT", "vm.delete");
            Assert.Equal(
                (path, field.Type == "RateLimiterConfig"),
                (path, answer.Status == 400 && answer.Text.Contains("from_the_future", StringComparison.Ordinal)));
        }
    }

    /// <summary>All fields with their paths; those of a refused object only if asked for.</summary>
    private static IEnumerable<(string Path, ContractField Field)> Walk(string schema, string prefix, bool intoRefused = false)
    {
        foreach (ContractField field in Contract.FieldsOf(schema))
        {
            string path = prefix + field.Name;
            yield return (path, field);
            bool isList = field.Type[0] == '[';
            string inner = isList ? field.Type[1..^1] : field.Type;
            string[] shown =
                ["cpus", "cpus.topology", "cpus.affinity", "cpus.features", "memory", "memory.zones", "payload", "disks", "net", "rng", "serial", "console", "debug_console", "pci_segments", "platform", "vsock", "balloon", "rate_limit_groups", "fs"];
            if (Contract.IsSchema(inner) && (intoRefused || shown.Contains(path)))
            {
                foreach ((string, ContractField) below in Walk(inner, path + (isList ? "[]." : "."), intoRefused))
                {
                    yield return below;
                }
            }
        }
    }

    /// <summary>The smallest body that has this field.</summary>
    private static JsonObject Body(string path, ContractField field, JsonNode? value)
    {
        var body = new JsonObject { ["payload"] = new JsonObject { ["kernel"] = "/k" } };
        if (path.StartsWith("memory.zones", StringComparison.Ordinal))
        {
            Merge(body, JsonNode.Parse("""{"memory":{"size":0}}""")!);
        }

        if (field.Name == "pci_segment" && !path.StartsWith("pci_segments", StringComparison.Ordinal))
        {
            Merge(body, JsonNode.Parse("""{"platform":{"num_pci_segments":2}}""")!);
        }

        JsonObject at = body;
        string schema = "VmConfig";
        string[] steps = path.Split('.');
        foreach (string step in steps[..^1])
        {
            string name = step.Replace("[]", "", StringComparison.Ordinal);
            ContractField parent = Contract.FieldsOf(schema).Single(f => f.Name == name);
            bool isList = parent.Type[0] == '[';
            schema = isList ? parent.Type[1..^1] : parent.Type;
            JsonObject minimal = SampleValue.Minimal(schema);
            if (at[name] is JsonObject existing)
            {
                Merge(minimal, existing);
            }

            at[name] = isList ? new JsonArray(minimal) : minimal;
            at = minimal;
        }

        if (Companions.TryGetValue(path, out string? companion))
        {
            Merge(body, JsonNode.Parse(companion)!);
        }

        at[steps[^1]] = value?.DeepClone();
        return body;
    }

    /// <summary>Puts all of <paramref name="more"/> into <paramref name="target"/>, which is changed in place.</summary>
    private static void Merge(JsonNode target, JsonNode more)
    {
        if (target is JsonArray array)
        {
            Merge(array[0]!, more[0]!);
            return;
        }

        foreach ((string key, JsonNode? value) in more.AsObject())
        {
            if (target[key] is JsonObject or JsonArray && value is JsonObject or JsonArray)
            {
                Merge(target[key]!, value);
            }
            else
            {
                target[key] = value?.DeepClone();
            }
        }
    }

    private static JsonNode? Find(JsonNode? node, string path)
    {
        string shownAs = Renamed.TryGetValue(path, out string? key) ? path[..(path.LastIndexOf('.') + 1)] + key : path;
        foreach (string step in shownAs.Split('.'))
        {
            node = node?[step.Replace("[]", "", StringComparison.Ordinal)];
            node = step.EndsWith("[]", StringComparison.Ordinal) ? node?[0] : node;
        }

        return node;
    }

    private static void Remove(JsonObject body, string path)
    {
        int dot = path.LastIndexOf('.');
        (dot < 0 ? body : Find(body, path[..dot])!.AsObject()).Remove(path[(dot + 1)..]);
    }

    /// <summary>Whether everything in <paramref name="wanted"/> stands in <paramref name="shown"/>, which may have more.</summary>
    private static bool Contains(JsonNode? shown, JsonNode? wanted) => (shown, wanted) switch
    {
        (JsonObject s, JsonObject w) => w.All(p => Contains(s[p.Key], p.Value)),
        (JsonArray s, JsonArray w) => s.Count == w.Count && w.Zip(s).All(p => Contains(p.Second, p.First)),
        _ => JsonNode.DeepEquals(shown, wanted),
    };

    /// <summary>The fields of README's table: names in backquotes that are paths of fields of their own.</summary>
    private static IEnumerable<string> Listed()
    {
        string[] lines = File.ReadAllLines(Path.Combine(Repository.Root, "README.md"));
        HashSet<string> known = [.. Walk("VmConfig", "", intoRefused: true).Select(f => f.Path)];
        return lines.SkipWhile(l => !l.Contains("| refused fields |", StringComparison.Ordinal)).Skip(2).TakeWhile(l => l.StartsWith('|'))
            .SelectMany(l => l.Split('`').Where((_, i) => i % 2 == 1)).Where(known.Contains);
    }
}
