using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Cnvm.Api.Json;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Api.Tests.Description;

/// <summary>
/// api/openapi.json says what the router and the JSON models do, and api/docs/rest-api.md what the file says. After a change of the file,
/// CNVM_WRITE_DOCS=1 makes the page anew.
/// </summary>
public sealed class OpenApiTests
{
    private const string Reference = "#/components/schemas/";

    /// <summary>Models that are answers only: what they have is there, unless it may be null.</summary>
    private static readonly string[] Answers = ["VmmPing", "VmInfo", "PciDeviceInfo", "EventPage", "EventEntry", "EventTimestamp", "DeviceNode", "DeviceResource", "DeviceRange"];

    private static readonly JsonObject Document = JsonNode.Parse(File.ReadAllText(Path.Combine(Repository.Root, "api/openapi.json")))!.AsObject();

    private static readonly JsonObject Schemas = Document["components"]!["schemas"]!.AsObject();

    private static readonly ApiRoute[] Routes = [.. new ApiRouter(new FakeVmm(), NullLogger.Instance).Routes];

    [Fact]
    public void Endpoints_are_those_of_the_router() =>
        Assert.Equal(
            Routes.Select(r => $"{r.Method} /{r.Name}").Order(StringComparer.Ordinal),
            Document["paths"]!.AsObject().SelectMany(p => p.Value!.AsObject().Select(o => $"{o.Key.ToUpperInvariant()} {p.Key}")).Order(StringComparer.Ordinal));

    [Fact]
    public void Bodies_and_answers_are_those_of_the_router()
    {
        foreach (ApiRoute route in Routes)
        {
            JsonObject operation = Document["paths"]![$"/{route.Name}"]![route.Method == "GET" ? "get" : "put"]!.AsObject();
            Assert.Equal((route.Name, NameOf(route.Body)), (route.Name, SchemaOf(operation["requestBody"])));
            Assert.Equal(
                (route.Name, route.Name == "vm.counters" ? "VmCounters" : NameOf(route.Answer)),
                (route.Name, SchemaOf(operation["responses"]!["200"])));
            Assert.False(string.IsNullOrEmpty((string?)operation["summary"]), route.Name);
        }
    }

    [Fact]
    public void Objects_are_those_of_the_models_and_nothing_else()
    {
        var seen = new HashSet<string> { "Error", "VmCounters" };
        foreach (JsonTypeInfo type in Routes.SelectMany(r => new[] { r.Body, r.Answer }).OfType<Func<JsonTypeInfo>>().Select(f => f()))
        {
            if (type.Kind == JsonTypeInfoKind.Object)
            {
                CheckObject(type, seen);
            }
        }

        Assert.Equal(Schemas.Select(s => s.Key).Order(StringComparer.Ordinal), seen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void The_page_is_made_from_the_file()
    {
        string page = ApiPage.Render(Document);
        string path = Path.Combine(Repository.Root, "api/docs/rest-api.md");
        if (Environment.GetEnvironmentVariable("CNVM_WRITE_DOCS") == "1")
        {
            File.WriteAllText(path, page);
        }

        Assert.True(page == File.ReadAllText(path), "api/docs/rest-api.md is older than api/openapi.json: run this test with CNVM_WRITE_DOCS=1");
    }

    private static void CheckObject(JsonTypeInfo type, HashSet<string> seen)
    {
        string name = type.Type.Name;
        if (!seen.Add(name))
        {
            return;
        }

        JsonObject schema = Schemas[name]?.AsObject() ?? throw new KeyNotFoundException(name);
        JsonObject properties = schema["properties"]!.AsObject();
        Assert.Equal(type.Properties.Select(p => $"{name}.{p.Name}").Order(StringComparer.Ordinal), properties.Select(p => $"{name}.{p.Key}").Order(StringComparer.Ordinal));
        Assert.Equal(type.UnmappedMemberHandling == JsonUnmappedMemberHandling.Disallow, schema["additionalProperties"]?.GetValue<bool>() == false);
        HashSet<string> required = [.. schema["required"]?.AsArray().Select(r => (string)r!) ?? []];
        foreach (JsonPropertyInfo property in type.Properties)
        {
            string path = $"{name}.{property.Name}";
            JsonObject described = properties[property.Name]!.AsObject();
            Assert.False(string.IsNullOrEmpty((string?)described["description"]), path);
            Assert.Equal((path, property.IsRequired || (Answers.Contains(name) && !property.IsGetNullable)), (path, required.Contains(property.Name)));
            JsonTypeInfo valueType = TypeOf(property.PropertyType);
            CheckType(path, described["allOf"]?[0]!.AsObject() ?? described, valueType, seen);
            object? standard = property.IsRequired ? null : property.AssociatedParameter?.DefaultValue;
            JsonNode? expected = standard is null ? null : JsonSerializer.SerializeToNode(standard, TypeOf(standard.GetType()));
            Assert.True(JsonNode.DeepEquals(expected, described["default"]), $"{path}: the default is {expected?.ToJsonString()}, described as {described["default"]?.ToJsonString()}");
        }
    }

    private static void CheckType(string path, JsonObject described, JsonTypeInfo type, HashSet<string> seen)
    {
        Type plain = Nullable.GetUnderlyingType(type.Type) ?? type.Type;
        if (type.Kind == JsonTypeInfoKind.Enumerable)
        {
            Assert.Equal((path, "array"), (path, (string?)described["type"]));
            CheckType(path, described["items"]!.AsObject(), TypeOf(type.ElementType!), seen);
        }
        else if (type.Kind == JsonTypeInfoKind.Dictionary)
        {
            Assert.Equal((path, "object"), (path, (string?)described["type"]));
            CheckType(path, described["additionalProperties"]!.AsObject(), type.ElementType is { } e ? TypeOf(e) : throw new KeyNotFoundException(path), seen);
        }
        else if (plain.IsEnum || type.Kind == JsonTypeInfoKind.Object)
        {
            Assert.Equal((path, Reference + plain.Name), (path, (string?)described["$ref"]));
            if (plain.IsEnum)
            {
                CheckEnum(plain, seen);
            }
            else
            {
                CheckObject(type, seen);
            }
        }
        else
        {
            (string wanted, string? format) = plain == typeof(string) ? ("string", null) : plain == typeof(bool) ? ("boolean", (string?)null) : ("integer", Format(plain));
            Assert.Equal((path, wanted, format), (path, (string?)described["type"], (string?)described["format"]));
        }
    }

    private static void CheckEnum(Type type, HashSet<string> seen)
    {
        seen.Add(type.Name);
        IEnumerable<string> names = Enum.GetValuesAsUnderlyingType(type).Cast<object>()
            .Select(v => (string)JsonSerializer.SerializeToNode(Enum.ToObject(type, v), TypeOf(type))!);
        Assert.Equal(names, Schemas[type.Name]!["enum"]!.AsArray().Select(n => (string)n!));
    }

    private static JsonTypeInfo TypeOf(Type type) => ApiJsonContext.Default.GetTypeInfo(type) ?? throw new KeyNotFoundException(type.FullName);

    private static string Format(Type type) => Type.GetTypeCode(type) switch
    {
        TypeCode.Byte => "uint8",
        TypeCode.SByte => "int8",
        _ => type.Name.ToLowerInvariant(),
    };

    private static string? NameOf(Func<JsonTypeInfo>? type) => type?.Invoke().Type.Name;

    private static string? SchemaOf(JsonNode? bodyOrResponse) =>
        ((string?)bodyOrResponse?["content"]?["application/json"]?["schema"]?["$ref"])?[Reference.Length..];
}
