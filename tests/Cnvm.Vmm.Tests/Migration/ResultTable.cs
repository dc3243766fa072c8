using System.Globalization;
using System.Text;

namespace Cnvm.Tests;

/// <summary>
/// Results as a table in Markdown, as README has them: a file of the table's name in the folder CNVM_SOAK_TABLES, written anew with every result. Without
/// that nothing is written. Any thread.
/// </summary>
internal sealed class ResultTable
{
    private const string Missing = "not run";
    private static readonly Dictionary<string, ResultTable> Tables = new(StringComparer.Ordinal);
    private readonly string _name;
    private readonly string _corner;
    private readonly List<string> _columns;
    private readonly Dictionary<string, int> _rows = new(StringComparer.Ordinal);
    private readonly Dictionary<(string Row, string Column), (string Cell, long Weight)> _cells = [];

    private ResultTable(string name, string corner, IReadOnlyList<string> columns)
    {
        _name = name;
        _corner = corner;
        _columns = [.. columns];
    }

    /// <summary>The table of this process that has the name.</summary>
    /// <param name="columns">In their order; more come behind them as they have results.</param>
    public static ResultTable Of(string name, string corner, params IReadOnlyList<string> columns)
    {
        lock (Tables)
        {
            if (!Tables.TryGetValue(name, out ResultTable? table))
            {
                Tables[name] = table = new ResultTable(name, corner, columns);
            }

            return table;
        }
    }

    /// <param name="rank">Rows come in ascending order of it.</param>
    /// <param name="weight">Of several results for one place the heaviest stays, and of equal ones the last.</param>
    public void Set(int rank, string row, string column, string cell, long weight = 0)
    {
        lock (Tables)
        {
            _rows[row] = rank;
            if (!_columns.Contains(column))
            {
                _columns.Add(column);
            }

            if (!_cells.TryGetValue((row, column), out (string Cell, long Weight) known) || weight >= known.Weight)
            {
                _cells[(row, column)] = (cell.Replace('|', '/').ReplaceLineEndings(" "), weight);
            }

            if (Environment.GetEnvironmentVariable("CNVM_SOAK_TABLES") is { Length: > 0 } folder)
            {
                Directory.CreateDirectory(folder);
                File.WriteAllText(Path.Combine(folder, _name + ".md"), ToString());
            }
        }
    }

    public override string ToString()
    {
        var text = new StringBuilder($"| {_corner} | {string.Join(" | ", _columns)} |\n|{string.Concat(Enumerable.Repeat("---|", _columns.Count + 1))}\n");
        foreach ((string row, _) in _rows.OrderBy(r => r.Value).ThenBy(r => r.Key, StringComparer.Ordinal))
        {
            string cells = string.Join(" | ", _columns.Select(c => _cells.TryGetValue((row, c), out (string Cell, long Weight) known) ? known.Cell : Missing));
            text.Append(CultureInfo.InvariantCulture, $"| {row} | {cells} |\n");
        }

        return text.ToString();
    }
}
