using System.Collections.ObjectModel;
using System.Globalization;
using System.Text.Json;

namespace Cnvm.Agent.Protocol.Json;

/// <summary>
/// A value of an OCI configuration and its path. Members that are missing or null have their default; those of another type are refused with their path.
/// </summary>
internal readonly struct OciNode(JsonElement value, string path)
{
    public OciConfigException Wrong(string what) => new($"{(path.Length == 0 ? "configuration" : path)}: {what}");

    public OciNode Object() => value.ValueKind == JsonValueKind.Object ? this : throw Unexpected("an object");

    /// <summary>The member of that name, made by <paramref name="read"/>; null when there is none.</summary>
    public T? Child<T>(string name, Func<OciNode, T> read)
        where T : class => Member(name) is { } node ? read(node.Object()) : null;

    /// <summary>The objects in the list of that name.</summary>
    public IReadOnlyList<T> Children<T>(string name, Func<OciNode, T> read) => List(name, node => read(node.Object()));

    public string Text(string name) => Member(name)?.AsText() ?? "";

    public IReadOnlyList<string> Texts(string name) => List(name, static node => node.AsText());

    public IReadOnlyList<uint> UInt32s(string name) => List(name, static node => node.AsUInt32());

    public bool Bool(string name) => Member(name)?.AsBool() ?? false;

    public uint UInt32(string name) => Member(name)?.AsUInt32() ?? 0;

    public uint? OptionalUInt32(string name) => Member(name)?.AsUInt32();

    public long Int64(string name, long missing = 0) => Member(name)?.AsInt64() ?? missing;

    public ulong UInt64(string name) => Member(name)?.AsUInt64() ?? 0;

    /// <summary>The texts of the object of that name, by their keys.</summary>
    public IReadOnlyDictionary<string, string> Map(string name)
    {
        if (Member(name) is not { } node)
        {
            return ReadOnlyDictionary<string, string>.Empty;
        }
        var map = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (JsonProperty member in node.Object().Value.EnumerateObject())
        {
            string key = node.NameOf(member);
            map[key] = new OciNode(member.Value, $"{node.Path}[\"{key}\"]").AsText();
        }
        return map;
    }

    private JsonElement Value => value;

    private string Path => path;

    private OciNode? Member(string name)
    {
        string memberPath = path.Length == 0 ? name : $"{path}.{name}";
        return value.TryGetProperty(name, out JsonElement member) && member.ValueKind != JsonValueKind.Null ? new OciNode(member, memberPath) : null;
    }

    private T[] List<T>(string name, Func<OciNode, T> read)
    {
        if (Member(name) is not { } node)
        {
            return [];
        }
        if (node.Value.ValueKind != JsonValueKind.Array)
        {
            throw node.Unexpected("a list");
        }
        var list = new T[node.Value.GetArrayLength()];
        int count = 0;
        foreach (JsonElement element in node.Value.EnumerateArray())
        {
            list[count] = read(new OciNode(element, string.Create(CultureInfo.InvariantCulture, $"{node.Path}[{count}]")));
            count++;
        }
        return list;
    }

    private string NameOf(JsonProperty member)
    {
        try
        {
            return WithoutNul(member.Name);
        }
        catch (InvalidOperationException e)
        {
            throw new OciConfigException($"{path}: a name in it is not Unicode", e);
        }
    }

    private string AsText()
    {
        if (value.ValueKind != JsonValueKind.String)
        {
            throw Unexpected("text");
        }
        try
        {
            return WithoutNul(value.GetString()!);
        }
        catch (InvalidOperationException e)
        {
            throw new OciConfigException($"{path}: text that is not Unicode", e);
        }
    }

    /// <summary>The kernel takes a NUL for the end, so that others would read another text than was checked.</summary>
    private string WithoutNul(string text) => text.Contains('\0') ? throw Wrong("text with a NUL character in it") : text;

    private bool AsBool() => value.ValueKind switch
    {
        JsonValueKind.True => true,
        JsonValueKind.False => false,
        _ => throw Unexpected("true or false"),
    };

    private uint AsUInt32() => IsNumber && value.TryGetUInt32(out uint number) ? number : throw Unexpected("a whole number from 0 to 4294967295");

    private long AsInt64() => IsNumber && value.TryGetInt64(out long number) ? number : throw Unexpected("a whole number of 64 bits with sign");

    private ulong AsUInt64() => IsNumber && value.TryGetUInt64(out ulong number) ? number : throw Unexpected("a whole number of 64 bits without sign");

    private bool IsNumber => value.ValueKind == JsonValueKind.Number;

    private OciConfigException Unexpected(string expected)
    {
        string found = value.ValueKind switch
        {
            JsonValueKind.Object => "an object",
            JsonValueKind.Array => "a list",
            JsonValueKind.String => "text",
            JsonValueKind.Number => value.GetRawText() is { Length: <= 40 } number ? number : "a long number",
            JsonValueKind.True => "true",
            JsonValueKind.False => "false",
            _ => "null",
        };
        return Wrong($"{expected} belongs here, and it is {found}");
    }
}
