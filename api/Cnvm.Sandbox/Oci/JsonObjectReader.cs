using System.Text.Json;

namespace Cnvm.Sandbox.Oci;

/// <summary>The members of a JSON object; what is left out, or null, is empty.</summary>
internal readonly struct JsonObjectReader
{
    private readonly JsonElement _element;
    private readonly string _path;

    /// <exception cref="JsonException">It is no object.</exception>
    public JsonObjectReader(JsonElement element, string path)
    {
        _element = element.ValueKind == JsonValueKind.Object ? element : throw new JsonException($"{path} is no object");
        _path = path;
    }

    public string Text(string name) => Find(name) is { } value ? value.GetString() ?? "" : "";

    public bool Flag(string name) => Find(name) is { } value && value.GetBoolean();

    public long Long(string name) => Find(name) is { } value ? value.GetInt64() : 0;

    /// <summary>A negative number stands for the largest one, as programs write "no limit".</summary>
    public ulong ULong(string name) => Find(name) is not { } value ? 0 : value.TryGetUInt64(out ulong number) ? number : unchecked((ulong)value.GetInt64());

    public uint UInt(string name) => Find(name) is { } value ? value.GetUInt32() : 0;

    public IReadOnlyList<string> Texts(string name)
    {
        var texts = new List<string>();
        foreach (JsonElement value in Items(name))
        {
            texts.Add(value.GetString() ?? throw new JsonException($"{_path}.{name} has a null"));
        }

        return texts;
    }

    public IReadOnlyList<uint> UInts(string name)
    {
        var numbers = new List<uint>();
        foreach (JsonElement value in Items(name))
        {
            numbers.Add(value.GetUInt32());
        }

        return numbers;
    }

    public IReadOnlyDictionary<string, string> Map(string name)
    {
        var map = new Dictionary<string, string>();
        foreach (JsonProperty property in Find(name)?.EnumerateObject() ?? default)
        {
            map[property.Name] = property.Value.GetString() ?? "";
        }

        return map;
    }

    public T? Object<T>(string name, Func<JsonObjectReader, T> read)
        where T : class =>
        Find(name) is { } value ? read(new JsonObjectReader(value, $"{_path}.{name}")) : null;

    public IReadOnlyList<T> Objects<T>(string name, Func<JsonObjectReader, T> read)
        where T : class
    {
        var objects = new List<T>();
        foreach (JsonElement value in Items(name))
        {
            objects.Add(read(new JsonObjectReader(value, $"{_path}.{name}")));
        }

        return objects;
    }

    private JsonElement.ArrayEnumerator Items(string name) => Find(name) is { } list ? list.EnumerateArray() : default;

    private JsonElement? Find(string name) =>
        _element.TryGetProperty(name, out JsonElement value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
