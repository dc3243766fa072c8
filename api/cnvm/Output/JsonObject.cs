using System.Buffers;
using System.Text.Json;

namespace Cnvm.Cli.Output;

/// <summary>One JSON object, written key by key; what is null is left out.</summary>
internal sealed class JsonObject
{
    private readonly Utf8JsonWriter _writer;

    private JsonObject(Utf8JsonWriter writer) => _writer = writer;

    /// <summary>The bytes of an object with what <paramref name="fill"/> puts into it.</summary>
    public static byte[] Write(Action<JsonObject> fill)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            fill(new JsonObject(writer));
            writer.WriteEndObject();
        }

        return buffer.WrittenSpan.ToArray();
    }

    public void Text(string key, string? value)
    {
        if (value is not null)
        {
            _writer.WriteString(key, value);
        }
    }

    public void Number(string key, ulong? value)
    {
        if (value is { } number)
        {
            _writer.WriteNumber(key, number);
        }
    }

    public void Toggle(string key, bool value) => _writer.WriteBoolean(key, value);

    public void Texts(string key, IReadOnlyList<string> texts)
    {
        _writer.WriteStartArray(key);
        foreach (string text in texts)
        {
            _writer.WriteStringValue(text);
        }

        _writer.WriteEndArray();
    }

    /// <summary>An array with an object for each item; left out if <paramref name="items"/> is null.</summary>
    public void Objects<T>(string key, IReadOnlyList<T>? items, Action<JsonObject, T> fill)
    {
        if (items is null)
        {
            return;
        }

        _writer.WriteStartArray(key);
        foreach (T item in items)
        {
            _writer.WriteStartObject();
            fill(this, item);
            _writer.WriteEndObject();
        }

        _writer.WriteEndArray();
    }
}
