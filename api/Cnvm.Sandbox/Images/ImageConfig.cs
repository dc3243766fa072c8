using System.Text.Json;

namespace Cnvm.Sandbox.Images;

/// <summary>What an image says about how it is run (OCI image specification, "Image Configuration").</summary>
public sealed record ImageConfig
{
    /// <summary>The program and its first arguments; arguments that somebody gives come behind.</summary>
    public IReadOnlyList<string> Entrypoint { get; init; } = [];

    /// <summary>Arguments when nobody gives any; the program too if there is no entry point.</summary>
    public IReadOnlyList<string> Command { get; init; } = [];

    /// <summary>Variables as NAME=VALUE.</summary>
    public IReadOnlyList<string> Environment { get; init; } = [];

    /// <summary>Absolute path in the container; empty for its root.</summary>
    public string WorkingDirectory { get; init; } = "";

    /// <summary>User, or user:group, by name or number; empty for root.</summary>
    public string User { get; init; } = "";

    /// <summary>Ports that are listened at, such as 80/tcp.</summary>
    public IReadOnlyList<string> ExposedPorts { get; init; } = [];

    /// <summary>Name or number of the signal that asks the program to end; empty for SIGTERM.</summary>
    public string StopSignal { get; init; } = "";

    /// <summary>Digests of the layers' contents, from the lowest on.</summary>
    internal IReadOnlyList<ContentDigest> Layers { get; init; } = [];

    internal string Architecture { get; init; } = "";

    internal string OperatingSystem { get; init; } = "";

    /// <exception cref="ImageException">It is no image's configuration.</exception>
    internal static ImageConfig Parse(ReadOnlyMemory<byte> json)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            JsonElement layers = Property(Property(root, "rootfs"), "diff_ids");
            var digests = new List<ContentDigest>();
            if (layers.ValueKind == JsonValueKind.Array)
            {
                foreach (JsonElement layer in layers.EnumerateArray())
                {
                    digests.Add(ContentDigest.Parse(layer.GetString()));
                }
            }

            JsonElement config = Property(root, "config");
            return new ImageConfig
            {
                Entrypoint = Words(config, "Entrypoint"),
                Command = Words(config, "Cmd"),
                Environment = Words(config, "Env"),
                WorkingDirectory = Text(config, "WorkingDir"),
                User = Text(config, "User"),
                ExposedPorts = Keys(config, "ExposedPorts"),
                StopSignal = Text(config, "StopSignal"),
                Layers = digests,
                Architecture = Text(root, "architecture"),
                OperatingSystem = Text(root, "os"),
            };
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException)
        {
            throw new ImageException($"the image's configuration is not what the specification says: {e.Message}", e);
        }
    }

    private static JsonElement Property(JsonElement element, string name) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) ? value : default;

    private static string Text(JsonElement element, string name) =>
        Property(element, name) is { ValueKind: JsonValueKind.String } text ? text.GetString()! : "";

    private static List<string> Words(JsonElement element, string name)
    {
        var words = new List<string>();
        if (Property(element, name) is { ValueKind: JsonValueKind.Array } list)
        {
            foreach (JsonElement word in list.EnumerateArray())
            {
                words.Add(word.GetString() ?? throw new JsonException($"{name} has a null"));
            }
        }

        return words;
    }

    private static List<string> Keys(JsonElement element, string name)
    {
        var keys = new List<string>();
        if (Property(element, name) is { ValueKind: JsonValueKind.Object } map)
        {
            foreach (JsonProperty property in map.EnumerateObject())
            {
                keys.Add(property.Name);
            }
        }

        return keys;
    }
}
