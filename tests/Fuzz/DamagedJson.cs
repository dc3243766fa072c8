using System.Text;
using System.Text.Json;

namespace Cnvm.Fuzz;

/// <summary>Makes documents of others' wrong: values of another kind, properties that are missing, bytes that are no JSON.</summary>
internal static class DamagedJson
{
    private static readonly string[] Values =
    [
        "null", "true", "0", "-1", "1.5", "1e400", "4294967296", "18446744073709551616", "\"\"", "\"a\"", "\"0x1\"", "\"99999999999999999999\"", "\"\\ud800\"", "\"\\u0000\"",
        "\"../../x\"", "[]", "{}", "[null]", "[{}]", "{\"a\":1}", "[[[[]]]]",
    ];

    /// <param name="json">A document without faults.</param>
    public static byte[] Make(byte[] json, Random random)
    {
        ArgumentNullException.ThrowIfNull(random);
        for (int n = random.Next(1, 4); n > 0 && random.Next(5) > 0; n--)
        {
            List<Range> values = [];
            List<Range> names = [];
            if (!TryFind(json, values, names))
            {
                break;
            }

            bool renames = names.Count > 0 && random.Next(3) == 0;
            Range place = renames ? names[random.Next(names.Count)] : values[random.Next(values.Count)];
            string text = renames ? "\"x\"" : Values[random.Next(Values.Length)];
            json = [.. json[..place.Start], .. Encoding.UTF8.GetBytes(text), .. json[place.End..]];
        }

        if (random.Next(3) == 0)
        {
            json = [.. json];
            for (int n = random.Next(1, 4); n > 0 && json.Length > 0; n--)
            {
                json[random.Next(json.Length)] = (byte)(random.Next(3) == 0 ? random.Next(256) : " \"{}[],:0-\\"[random.Next(11)]);
            }
        }

        return random.Next(20) == 0 ? json[..random.Next(json.Length + 1)] : json;
    }

    private static bool TryFind(byte[] json, List<Range> values, List<Range> names)
    {
        try
        {
            var reader = new Utf8JsonReader(json);
            while (reader.Read())
            {
                int start = (int)reader.TokenStartIndex;
                switch (reader.TokenType)
                {
                    case JsonTokenType.PropertyName:
                        names.Add(start..(start + reader.ValueSpan.Length + 2));
                        break;
                    case JsonTokenType.EndObject or JsonTokenType.EndArray:
                        break;
                    default:
                        Utf8JsonReader whole = reader;
                        values.Add(start..(whole.TrySkip() ? (int)whole.BytesConsumed : json.Length));
                        break;
                }
            }

            return values.Count > 0;
        }
        catch (JsonException)
        {
            // It is wrong already.
            return false;
        }
    }
}
