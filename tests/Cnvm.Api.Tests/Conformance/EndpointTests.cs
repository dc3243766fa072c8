using System.Text.Json.Nodes;

namespace Cnvm.Api.Tests.Conformance;

/// <summary>Every endpoint of both versions of the contract over raw sockets.</summary>
public sealed class EndpointTests : IDisposable
{
    /// <summary>Fields that a schema requires and Cloud Hypervisor's own parser does not; nor does cnvm's.</summary>
    private static readonly HashSet<string> Lenient =
        ["FsConfig.socket", "FsConfig.num_queues", "FsConfig.queue_size", "VdpaConfig.num_queues", "RngConfig.src", "VmConfig.payload"];

    private readonly ServerFixture _server = new();
    private readonly RawClient _client;

    public EndpointTests() => _client = _server.Connect();

    /// <summary>Routes but the one that only ever existed in version 51's description.</summary>
    public static TheoryData<string> Names { get; } = [.. Contract.Routes.Select(r => r.Name).Where(n => n != "vmm.nmi").Distinct()];

    public static TheoryData<string> NamesWithBody { get; } = [.. Contract.Routes.Where(r => r.Body is not null).Select(r => r.Name).Distinct()];

    public void Dispose()
    {
        _client.Dispose();
        _server.Dispose();
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void Each_has_its_method_its_body_and_its_answer(string name)
    {
        ContractRoute[] versions = [.. Contract.Routes.Where(r => r.Name == name)];
        ContractRoute route = versions[^1];
        string? body = route.Body is { } schema ? SampleValue.Minimal(schema).ToJsonString() : null;
        if (NeedsMachine(name))
        {
            Assert.Equal(204, _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k"}}""").Status);
        }

        RawAnswer answer = _client.Request(route.Method, name, body);
        // Shutting the VMM down answers 200 whatever the description says: clients know it so.
        int[] expected = name == "vmm.shutdown" ? [200] : [.. versions.SelectMany(v => v.Statuses).Where(s => s < 300)];
        Assert.True(expected.Contains(answer.Status), $"{answer.Status} {answer.Text}");
        Assert.Equal(route.Answer is not null && answer.Status == 200, answer.Body.Length > 0);
        string head = answer.Status == 204
            ? "HTTP/1.1 204 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n\r\n"
            : $"HTTP/1.1 200 \r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: {answer.Body.Length}\r\n\r\n";
        Assert.Equal(head, answer.Head);
        if (answer.Body.Length > 0 && route.Answer is { } schemaOfAnswer)
        {
            CheckAnswer(schemaOfAnswer, answer);
        }

        foreach (string method in new[] { "GET", "PUT", "POST", "DELETE", "PATCH" }.Where(m => m != route.Method))
        {
            Expect400(_client.Request(method, name, body));
        }

        Expect400(_client.Request(route.Method, name, body is null ? "{}" : null));
    }

    [Fact]
    public void An_nmi_is_where_the_code_has_it_and_not_where_version_51_describes_it() =>
        Assert.Equal(404, _client.Request("PUT", "vmm.nmi").Status);

    [Theory]
    [MemberData(nameof(NamesWithBody))]
    public void A_full_body_is_understood_and_so_is_one_with_more(string name)
    {
        string schema = Contract.Routes.Last(r => r.Name == name).Body!;
        JsonObject full = SampleValue.Full(schema);
        if (name == "vm.create")
        {
            // Some of it cnvm does not have; what counts here is that nothing else is wrong with it. ConfigEchoTests has the details.
            RawAnswer refused = _client.Request("PUT", name, full.ToJsonString());
            Assert.Equal(400, refused.Status);
            Assert.DoesNotContain("request body is not valid", refused.Text, StringComparison.Ordinal);
            return;
        }

        if (NeedsMachine(name))
        {
            _client.Request("PUT", "vm.create", """{"payload":{"kernel":"/k"}}""");
        }

        full.Remove("iommufd_fd");
        full["from_the_future"] = new JsonArray(1);
        RawAnswer answer = _client.Request("PUT", name, full.ToJsonString());
        Assert.True(answer.Status == 204, answer.Text);
    }

    [Theory]
    [MemberData(nameof(NamesWithBody))]
    public void Each_wrong_missing_or_impossible_field_is_named(string name)
    {
        string schema = Contract.Routes.Last(r => r.Name == name).Body!;
        foreach (ContractField field in Contract.FieldsOf(schema))
        {
            JsonObject wrong = SampleValue.Minimal(schema);
            wrong[field.Name] = SampleValue.WrongFor(field);
            RawAnswer answer = _client.Request("PUT", name, wrong.ToJsonString());
            Assert.True(answer.Status == 400 && answer.Chain[^1].Contains(field.Name, StringComparison.Ordinal), $"{field}: {answer.Text}");
            if (field.Type.StartsWith("int", StringComparison.Ordinal))
            {
                wrong[field.Name] = JsonNode.Parse("18446744073709551616");
                answer = _client.Request("PUT", name, wrong.ToJsonString());
                Assert.True(answer.Status == 400 && answer.Chain[^1].Contains(field.Name, StringComparison.Ordinal), $"{field}: {answer.Text}");
            }

            if (field.IsRequired && !Lenient.Contains($"{field.Schema}.{field.Name}"))
            {
                JsonObject missing = SampleValue.Minimal(schema);
                missing.Remove(field.Name);
                answer = _client.Request("PUT", name, missing.ToJsonString());
                Assert.True(answer.Status == 400 && answer.Chain[^1].Contains(field.Name, StringComparison.Ordinal), $"{field}: {answer.Text}");
            }
        }

        Assert.Empty(_server.Vmm.Calls);
    }

    private static bool NeedsMachine(string name) => name.StartsWith("vm.", StringComparison.Ordinal) && name != "vm.create";

    private static void CheckAnswer(string schema, RawAnswer answer)
    {
        HashSet<string> known = [.. Contract.FieldsOf(schema).Select(f => f.Name)];
        JsonObject json = JsonNode.Parse(answer.Body)!.AsObject();
        Assert.All(Contract.FieldsOf(schema).Where(f => f.IsRequired), f => Assert.True(json.ContainsKey(f.Name), f.Name));
        // Maps have keys of their own.
        Assert.All(json, p => Assert.True(known.Count == 0 || known.Contains(p.Key), p.Key));
    }

    private static void Expect400(RawAnswer answer)
    {
        Assert.Equal(400, answer.Status);
        Assert.Equal("Error from API", answer.Chain[0]);
        Assert.True(answer.Chain.Length > 1);
    }
}
