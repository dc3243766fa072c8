using System.Globalization;
using System.Text.Json;

namespace Cnvm.Bench;

/// <summary>How figures are written: for people and scripts one line for each peer, as JSON with every sample.</summary>
internal static class Table
{
    private const string Nothing = "-";

    /// <summary>Names of the columns.</summary>
    public static string Header => Row("name", "value", "unit", "peer", "peer-value", "ratio", "");

    /// <summary>
    /// The lines of a figure: name, value, unit, peer, peer's value and value divided by peer's value, separated by blanks. A side
    /// that was not measured reads <c>skipped</c> or <c>failed</c>, and the reason ends the line behind a <c>#</c>.
    /// </summary>
    public static IEnumerable<string> Lines(Figure figure)
    {
        foreach (Reading peer in figure.Peers)
        {
            string ratio = figure.Value.Value is { } v && peer.Value is { } p && p > 0 ? (v / p).ToString("F3", CultureInfo.InvariantCulture) : Nothing;
            IEnumerable<string> reasons = new[] { figure.Value, peer }
                .Where(r => r.Reason is not null).Select(r => $"{r.Side}: {FirstLine(r.Reason!)}").Distinct();
            string note = string.Join("; ", reasons);
            yield return Row(
                figure.Measure.Name, Cell(figure.Value), figure.Measure.Unit, peer.Side, Cell(peer), ratio, note.Length > 0 ? "# " + note : "");
        }
    }

    /// <summary>Four significant digits.</summary>
    public static string Number(double value)
    {
        int digits = value == 0 ? 1 : Math.Clamp(3 - (int)Math.Floor(Math.Log10(Math.Abs(value))), 0, 3);
        return value.ToString("F" + digits, CultureInfo.InvariantCulture);
    }

    /// <summary>Everything about the figures, samples included.</summary>
    public static void WriteJson(Stream stream, IEnumerable<Figure> figures)
    {
        using var json = new Utf8JsonWriter(stream, new JsonWriterOptions { Indented = true });
        json.WriteStartArray();
        foreach (Figure figure in figures)
        {
            json.WriteStartObject();
            json.WriteString("name", figure.Measure.Name);
            json.WriteString("unit", figure.Measure.Unit);
            json.WriteBoolean("higherIsBetter", figure.Measure.HigherIsBetter);
            WriteSide(json, "value", figure.Value);
            json.WriteStartArray("peers");
            foreach (Reading peer in figure.Peers)
            {
                WriteSide(json, null, peer);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        json.WriteEndArray();
    }

    private static void WriteSide(Utf8JsonWriter json, string? property, Reading reading)
    {
        if (property is null)
        {
            json.WriteStartObject();
        }
        else
        {
            json.WriteStartObject(property);
        }

        json.WriteString("side", reading.Side);
        if (reading.Value is { } median)
        {
            json.WriteNumber("median", median);
            if (reading.Reason is { } remark)
            {
                json.WriteString("remark", remark);
            }
        }
        else
        {
            json.WriteString(reading.Failed ? "failed" : "skipped", reading.Reason);
        }

        json.WriteStartArray("samples");
        foreach (double sample in reading.Samples)
        {
            json.WriteNumberValue(sample);
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static string Cell(Reading reading) =>
        reading.Value is { } value ? Number(value) : reading.Failed ? "failed" : "skipped";

    private static string FirstLine(string text) => text.Split('\n')[0];

    private static string Row(string name, string value, string unit, string peer, string peerValue, string ratio, string note) =>
        $"{name,-24} {value,10} {unit,-6} {peer,-14} {peerValue,10} {ratio,8} {note}".TrimEnd();
}
