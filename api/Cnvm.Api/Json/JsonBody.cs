using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Cnvm.Vmm;

namespace Cnvm.Api.Json;

/// <summary>Reads and writes bodies.</summary>
internal static class JsonBody
{
    /// <summary>Nesting that no real request comes near to.</summary>
    private const int MaxDepth = 32;

    /// <exception cref="VmmException">It is no JSON, or not of this type; the message names the field.</exception>
    public static T Read<T>(ReadOnlySpan<byte> body, JsonTypeInfo<T> type)
        where T : class
    {
        try
        {
            RefuseDuplicateKeys(body);
            return JsonSerializer.Deserialize(body, type) ?? throw new JsonException("it is null");
        }
        catch (JsonException e)
        {
            throw new VmmException(VmmErrorKind.Invalid, $"The request body is not valid: {Describe(e)}");
        }
        catch (InvalidOperationException)
        {
            // What the reader throws for text that is no Unicode: invalid UTF-8 or half a surrogate pair.
            throw new VmmException(VmmErrorKind.Invalid, "The request body is not valid: a string is not Unicode text");
        }
    }

    public static byte[] Write<T>(T value, JsonTypeInfo<T> type) => JsonSerializer.SerializeToUtf8Bytes(value, type);

    private static string Describe(JsonException e)
    {
        string path = e.Path is null or "$" ? "" : e.Path.StartsWith("$.", StringComparison.Ordinal) ? e.Path[2..] : e.Path;
        string position = e.LineNumber is { } line
            ? string.Create(CultureInfo.InvariantCulture, $" (line {line + 1}, byte {e.BytePositionInLine + 1})")
            : "";
        // The reader's own messages repeat the position; ours and those about required keys do not.
        string message = e.Message;
        int repeated = message.IndexOf(" Path: ", StringComparison.Ordinal);
        repeated = repeated >= 0 ? repeated : message.IndexOf(" LineNumber: ", StringComparison.Ordinal);
        message = repeated >= 0 ? message[..repeated] : message;
        return path.Length > 0 ? $"{path}: {message}{position}" : $"{message}{position}";
    }

    /// <summary>
    /// Of a key that stands twice in an object, one reader takes the first value and another the last: such input is refused. So is
    /// deep nesting, and everything else that is no JSON.
    /// </summary>
    private static void RefuseDuplicateKeys(ReadOnlySpan<byte> body)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        var keys = new Stack<HashSet<string>>();
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject:
                    keys.Push(new HashSet<string>(StringComparer.Ordinal));
                    break;
                case JsonTokenType.EndObject:
                    keys.Pop();
                    break;
                case JsonTokenType.PropertyName when !keys.Peek().Add(reader.GetString()!):
                    throw new JsonException($"the key '{reader.GetString()}' stands twice in an object");
            }
        }
    }
}
