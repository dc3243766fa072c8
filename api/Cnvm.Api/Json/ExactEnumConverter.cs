using System.Text.Json;
using System.Text.Json.Serialization;

namespace Cnvm.Api.Json;

/// <summary>An enumeration by the names of its members, spelled exactly; numbers are refused.</summary>
internal class ExactEnumConverter<T> : JsonConverter<T>
    where T : struct, Enum
{
    private readonly T[] _values = Enum.GetValues<T>();
    private readonly string[] _names;

    public ExactEnumConverter()
        : this(Enum.GetNames<T>())
    {
    }

    /// <param name="names">How the members are spelled, in their order.</param>
    protected ExactEnumConverter(string[] names) => _names = names;

    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
    {
        if (reader.TokenType == JsonTokenType.String)
        {
            for (int i = 0; i < _names.Length; i++)
            {
                if (reader.ValueTextEquals(_names[i]))
                {
                    return _values[i];
                }
            }
        }

        throw new EnumSpellingException($"is not one of {string.Join(", ", _names)}");
    }

    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WriteStringValue(_names[Array.IndexOf(_values, value)]);
}
