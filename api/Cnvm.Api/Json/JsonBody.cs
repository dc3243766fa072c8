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
            RefuseAmbiguity(body);
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
        message = InWords(repeated >= 0 ? message[..repeated] : message, e.InnerException?.Message ?? "");
        return path.Length > 0 ? $"{path}: {message}{position}" : $"{message}{position}";
    }

    /// <summary>The reader's messages speak of .NET's types and their properties; people know JSON.</summary>
    /// <param name="cause">Of a value that is none of a number, a text or a truth value: which of them it should have been.</param>
    private static string InWords(string message, string cause)
    {
        const string Missing = "was missing required properties including: ";
        const string Converted = "The JSON value could not be converted to ";
        int missing = message.IndexOf(Missing, StringComparison.Ordinal);
        if (missing >= 0)
        {
            return $"is missing {message[(missing + Missing.Length)..].TrimEnd('.').Replace("'", "", StringComparison.Ordinal)}";
        }

        if (!message.StartsWith(Converted, StringComparison.Ordinal))
        {
            return message;
        }

        string wanted = cause.TrimEnd('.');
        wanted = wanted[(wanted.LastIndexOfAny([' ', '.']) + 1)..];
        return wanted switch
        {
            "string" => "is no text",
            "boolean" => "is neither true nor false",
            "number" => "is no number",
            "UInt64" => $"is no whole number from 0 to {ulong.MaxValue}",
            "UInt32" => $"is no whole number from 0 to {uint.MaxValue}",
            "UInt16" => $"is no whole number from 0 to {ushort.MaxValue}",
            "Byte" or "byte" => $"is no whole number from 0 to {byte.MaxValue}",
            "SByte" or "signed" => $"is no whole number from {sbyte.MinValue} to {sbyte.MaxValue}",
            "Int32" => $"is no whole number from {int.MinValue} to {int.MaxValue}",
            _ => message.Contains("List`1", StringComparison.Ordinal) ? "is no list of the right form" : "is no value of the right form",
        };
    }

    /// <summary>
    /// Of a key that stands twice in an object, one reader takes the first value and another the last: such input is refused. So is
    /// deep nesting, and everything else that is no JSON. No list of the contract has nulls in it, and the reader lets them through.
    /// </summary>
    private static void RefuseAmbiguity(ReadOnlySpan<byte> body)
    {
        var reader = new Utf8JsonReader(body, new JsonReaderOptions { MaxDepth = MaxDepth });
        // What is open: the keys of an object, or the name of a list.
        var open = new Stack<(HashSet<string>? Keys, string List)>();
        string key = "";
        while (reader.Read())
        {
            switch (reader.TokenType)
            {
                case JsonTokenType.StartObject:
                    open.Push((new HashSet<string>(StringComparer.Ordinal), ""));
                    break;
                case JsonTokenType.StartArray:
                    open.Push((null, key));
                    break;
                case JsonTokenType.EndObject or JsonTokenType.EndArray:
                    open.Pop();
                    break;
                case JsonTokenType.PropertyName:
                    key = reader.GetString()!;
                    if (!open.Peek().Keys!.Add(key))
                    {
                        throw new JsonException($"the key '{key}' stands twice in an object");
                    }

                    break;
                case JsonTokenType.Null when open.TryPeek(out (HashSet<string>? Keys, string List) innermost) && innermost.Keys is null:
                    throw new JsonException($"{innermost.List}: a null stands in a list");
            }
        }
    }
}
