using System.Text;

namespace Cnvm.Cli.Output;

/// <summary>Rows in aligned columns, two spaces apart. Columns of numbers are aligned to the right.</summary>
internal sealed class Table
{
    private readonly string[] _head;
    private readonly bool[] _right;
    private readonly List<string[]> _rows = [];

    /// <param name="head">Headings; one that starts with <c>&gt;</c> is of a column that is aligned to the right.</param>
    public Table(params string[] head)
    {
        _right = [.. head.Select(h => h.StartsWith('>'))];
        _head = [.. head.Select(h => h.TrimStart('>'))];
    }

    public void Add(params string[] row) => _rows.Add(row);

    public override string ToString()
    {
        string[][] all = [_head, .. _rows];
        int[] widths = [.. _head.Select((_, column) => all.Max(row => row[column].Length))];
        var text = new StringBuilder();
        foreach (string[] row in all)
        {
            var line = new StringBuilder();
            for (int i = 0; i < row.Length; i++)
            {
                line.Append(i > 0 ? "  " : "").Append(_right[i] ? row[i].PadLeft(widths[i]) : row[i].PadRight(widths[i]));
            }

            text.Append(line.ToString().TrimEnd()).Append('\n');
        }

        return text.ToString();
    }
}
