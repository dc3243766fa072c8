using System.Text;
using System.Text.Json.Nodes;

namespace Cnvm.Api.Tests.Description;

/// <summary>Renders an OpenAPI description as a page of Markdown.</summary>
internal static class ApiPage
{
    public static string Render(JsonObject document)
    {
        var page = new StringBuilder("# REST API\n\n");
        page.Append("Made from [openapi.json](../openapi.json); do not edit.\n\n").Append(Sentence(document["info"]!["description"])).Append("\n\n");
        page.Append("Paths stand behind `http://localhost/api/v1/`. Statuses are explained below.\n\n## Endpoints\n\n");
        page.Append("| request | does | body | answer | errors |\n|---|---|---|---|---|\n");
        foreach ((string path, JsonNode? methods) in document["paths"]!.AsObject())
        {
            foreach ((string method, JsonNode? operation) in methods!.AsObject())
            {
                RenderOperation(page, method.ToUpperInvariant(), path[1..], operation!.AsObject());
            }
        }

        page.Append("\n## Statuses\n\n| status | meaning |\n|---|---|\n");
        foreach ((int status, string meaning) in new[]
        {
            (200, "done, with an answer (`vmm.shutdown`: without)"), (204, "done"), (400, "the request is wrong in itself: method, body or a field, which is named"),
            (404, "there is no VM, no such device, no such path"), (409, "a name or a path is in use"), (429, "an earlier change is not finished"),
            (500, "the VM is in another state, the host refuses, or cnvm cannot do it yet"), (503, "ten connections are open already"),
        })
        {
            page.Append("| ").Append(status).Append(" | ").Append(meaning).Append(" |\n");
        }

        page.Append("\nThe body of an error is a list of strings, from the outside in: `[\"Error from API\",\"The VM could not boot\",\"...\"]`.\n\n## Objects\n");
        foreach ((string name, JsonNode? schema) in document["components"]!["schemas"]!.AsObject())
        {
            RenderSchema(page, name, schema!.AsObject());
        }

        return page.ToString();
    }

    private static void RenderOperation(StringBuilder page, string method, string path, JsonObject operation)
    {
        JsonObject responses = operation["responses"]!.AsObject();
        JsonNode? content = responses["200"]?["content"];
        string answer = content is null ? "" : content["text/plain"] is not null ? "text" : Type(content["application/json"]!["schema"]!.AsObject());
        string body = operation["requestBody"] is { } b ? Type(b["content"]!["application/json"]!["schema"]!.AsObject()) : "";
        string errors = string.Join(' ', responses.Select(r => r.Key).Where(s => s[0] >= '4'));
        string statuses = string.Join(" or ", responses.Select(r => r.Key).Where(s => s[0] == '2'));
        string description = Sentence(operation["description"]);
        page.Append("| `").Append(method).Append(' ').Append(path).Append("` | ").Append(Sentence(operation["summary"])).Append('.')
            .Append(description.Length > 0 ? " " : "").Append(description).Append(" | ").Append(body).Append(" | ").Append(statuses)
            .Append(answer.Length > 0 ? " " : "").Append(answer).Append(" | ").Append(errors).Append(" |\n");
    }

    private static void RenderSchema(StringBuilder page, string name, JsonObject schema)
    {
        page.Append("\n### ").Append(name).Append("\n\n").Append(Sentence(schema["description"])).Append('\n');
        if (schema["enum"] is JsonArray values)
        {
            page.Append("\nOne of ").Append(string.Join(", ", values.Select(v => $"`{v}`"))).Append(".\n");
        }

        if (schema["properties"] is not JsonObject { Count: > 0 } properties)
        {
            return;
        }

        HashSet<string> required = [.. schema["required"]?.AsArray().Select(r => (string)r!) ?? []];
        page.Append("\n| field | type | default | |\n|---|---|---|---|\n");
        foreach ((string field, JsonNode? property) in properties)
        {
            JsonObject described = property!.AsObject();
            string standard = required.Contains(field) ? "required" : described["default"] is { } value ? $"`{value.ToJsonString()}`" : "";
            page.Append("| `").Append(field).Append("` | ").Append(Type(described)).Append(" | ").Append(standard).Append(" | ")
                .Append(Sentence(described["description"])).Append(" |\n");
        }
    }

    private static string Type(JsonObject schema)
    {
        if ((schema["$ref"] ?? schema["allOf"]?[0]?["$ref"]) is { } reference)
        {
            string name = ((string)reference!).Split('/')[^1];
            return $"[{name}](#{name.ToLowerInvariant()})";
        }

        return (string)schema["type"]! == "array" ? $"list of {Type(schema["items"]!.AsObject())}" : (string?)schema["format"] ?? (string)schema["type"]!;
    }

    private static string Sentence(JsonNode? text) => ((string?)text ?? "").Replace("|", "\\|", StringComparison.Ordinal);
}
