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
        message = InWords(repeated >= 0 ? message[..repeated] : message);
        return path.Length > 0 ? $"{path}: {message}{position}" : $"{message}{position}";
    }

    /// <summary>The reader's messages speak of .NET's types and their properties; people know JSON.</summary>
    private static string InWords(string message)
    {
        const string Missing = "was missing required properties including: ";
        const string Converted = "The JSON value could not be converted to ";
        int missing = message.IndexOf(Missing, StringComparison.Ordinal);
        if (missing >= 0)
        {
            return $"is missing {message[(missing + Missing.Length)..].TrimEnd('.').Replace("'", "", StringComparison.Ordinal)}";
        }

        return !message.StartsWith(Converted, StringComparison.Ordinal) ? message : message[Converted.Length..].TrimEnd('.') switch
        {
            "System.String" => "is no text",
            "System.Boolean" => "is neither true nor false",
            var type when type.Contains("List`1", StringComparison.Ordinal) => "is no list of the right form",
            var type when type.Contains("System.UInt64", StringComparison.Ordinal) => $"is no whole number from 0 to {ulong.MaxValue}",
            var type when type.Contains("System.UInt32", StringComparison.Ordinal) => $"is no whole number from 0 to {uint.MaxValue}",
            var type when type.Contains("System.UInt16", StringComparison.Ordinal) => $"is no whole number from 0 to {ushort.MaxValue}",
            var type when type.Contains("System.Byte", StringComparison.Ordinal) => $"is no whole number from 0 to {byte.MaxValue}",
            var type when type.Contains("System.SByte", StringComparison.Ordinal) => $"is no whole number from {sbyte.MinValue} to {sbyte.MaxValue}",
            var type when type.Contains("System.Int32", StringComparison.Ordinal) => $"is no whole number from {int.MinValue} to {int.MaxValue}",
            var type when type.Contains("System.Boolean", StringComparison.Ordinal) => "is neither true nor false",
            _ => "is no object of the right form",
        };
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
