using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Cnvm.Hypervisor.State.Format;

/// <summary>A state for people and for programs: indented text, and JSON.</summary>
public static class StateText
{
    // Longer byte strings are shortened for people; JSON has all of them.
    private const int ShownBytes = 32;

    /// <summary>Indented lines, one an element; numbers in hexadecimal.</summary>
    public static string ToText(StateNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        var text = new StringBuilder();
        foreach (StateNode child in node.Children)
        {
            Append(text, child, 0);
        }

        return text.ToString();
    }

    /// <summary>One JSON object: records are objects, lists arrays, numbers decimal, bytes hexadecimal text.</summary>
    public static byte[] ToJson(StateNode node, bool indented = true)
    {
        ArgumentNullException.ThrowIfNull(node);
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = indented }))
        {
            Write(json, node);
        }

        return buffer.ToArray();
    }

    /// <summary>Paths at which two states differ, with both values; empty when they are equal.</summary>
    public static IReadOnlyList<string> Differences(StateNode a, StateNode b)
    {
        ArgumentNullException.ThrowIfNull(a);
        ArgumentNullException.ThrowIfNull(b);
        var differences = new List<string>();
        Compare(differences, "", a, b);
        return differences;
    }

    private static void Compare(List<string> differences, string path, StateNode a, StateNode b)
    {
        if (a.Children.IsEmpty && b.Children.IsEmpty)
        {
            string left = ValueText(a, int.MaxValue);
            string right = ValueText(b, int.MaxValue);
            if (left != right)
            {
                differences.Add($"{path}: {left} / {right}");
            }

            return;
        }

        foreach (StateNode child in a.Children)
        {
            if (b.Child(child.Name) is { } other)
            {
                Compare(differences, $"{path}/{child.Name}", child, other);
            }
            else
            {
                differences.Add($"{path}/{child.Name}: only in the first");
            }
        }

        differences.AddRange(b.Children.Where(c => a.Child(c.Name) is null).Select(c => $"{path}/{c.Name}: only in the second"));
    }

    private static void Append(StringBuilder text, StateNode node, int depth)
    {
        text.Append(' ', depth * 2).Append(node.Name).Append(':');
        if (node.Value is not null)
        {
            text.Append(' ').Append(ValueText(node, ShownBytes));
        }

        text.Append('\n');
        foreach (StateNode child in node.Children)
        {
            Append(text, child, depth + 1);
        }
    }

    private static string ValueText(StateNode node, int shownBytes) => node.Value switch
    {
        bool b => b ? "yes" : "no",
        ulong n => $"0x{n:x}",
        long n => n.ToString(CultureInfo.InvariantCulture),
        string s => s,
        ulong[] list => string.Join(' ', list.Select(n => $"0x{n:x}")),
        byte[] bytes when bytes.Length > shownBytes =>
            $"{Convert.ToHexStringLower(bytes.AsSpan(0, shownBytes))}... ({bytes.Length} bytes, CRC-32C {Crc32C.Of(bytes):x8})",
        byte[] bytes => Convert.ToHexStringLower(bytes),
        _ => "",
    };

    private static void Write(Utf8JsonWriter json, StateNode node)
    {
        switch (node.Value)
        {
            case null when node.Type == ElementType.RecordList:
                json.WriteStartArray();
                foreach (StateNode item in node.Children)
                {
                    Write(json, item);
                }

                json.WriteEndArray();
                break;
            case null:
                json.WriteStartObject();
                foreach (StateNode child in node.Children)
                {
                    json.WritePropertyName(child.Name);
                    Write(json, child);
                }

                json.WriteEndObject();
                break;
            case bool b:
                json.WriteBooleanValue(b);
                break;
            case ulong n:
                json.WriteNumberValue(n);
                break;
            case long n:
                json.WriteNumberValue(n);
                break;
            case ulong[] list:
                json.WriteStartArray();
                foreach (ulong n in list)
                {
                    json.WriteNumberValue(n);
                }

                json.WriteEndArray();
                break;
            case byte[] bytes:
                json.WriteStringValue(Convert.ToHexStringLower(bytes));
                break;
            default:
                json.WriteStringValue((string)node.Value);
                break;
        }
    }
}
