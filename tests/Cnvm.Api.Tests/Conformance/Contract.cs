using System.Globalization;

namespace Cnvm.Api.Tests.Conformance;

/// <summary>The contract of both versions, from contract.txt.</summary>
internal static class Contract
{
    private static readonly string[][] Lines =
    [
        .. File.ReadAllLines(Path.Combine(AppContext.BaseDirectory, "Conformance", "contract.txt"))
            .Where(l => l.Length > 0 && l[0] != '#').Select(l => l.Split(' ')),
    ];

    public static IReadOnlyList<ContractRoute> Routes { get; } =
    [
        .. Lines.Where(l => l[0] == "route").Select(l => new ContractRoute(
            l[1], l[2], l[3], l[4] == "-" ? null : l[4], l[5] == "-" ? null : l[5],
            [.. l[6].Split(',').Select(s => int.Parse(s, CultureInfo.InvariantCulture))])),
    ];

    public static IReadOnlyList<ContractField> Fields { get; } =
    [
        .. Lines.Where(l => l[0] == "field").Select(l => new ContractField(
            l[1], l[2], l[3], EnumValues(l[4]) ?? l[4], l[5] == "required", l.FirstOrDefault(w => w.StartsWith("default=", StringComparison.Ordinal))?["default=".Length..])),
    ];

    /// <summary>Fields of a schema; the newest form of each.</summary>
    public static IEnumerable<ContractField> FieldsOf(string schema) =>
        Fields.Where(f => f.Schema == schema).GroupBy(f => f.Name).Select(g => g.Last());

    public static bool IsSchema(string type) => char.IsUpper(type[0]);

    private static string? EnumValues(string type) =>
        Lines.FirstOrDefault(l => l[0] == "enum" && l[2] == type) is { } line ? $"({line[3]})" : null;
}
