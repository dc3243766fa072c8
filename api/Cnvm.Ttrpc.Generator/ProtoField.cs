using Microsoft.CodeAnalysis;

namespace Cnvm.Ttrpc.Generator;

/// <summary>The statements for one property: its local variable, how it is written and read, and what the message gets.</summary>
internal sealed class ProtoField
{
    private ProtoField(int number, string name, string declare, string write, string read, string result)
    {
        Number = number;
        Name = name;
        Declare = declare;
        Write = write;
        Read = read;
        Result = result;
    }

    public int Number { get; }

    public string Name { get; }

    public string Declare { get; }

    public string Write { get; }

    public string Read { get; }

    public string Result { get; }

    /// <returns>null when the property's type has no form in protobuf.</returns>
    public static ProtoField? Of(int number, IPropertySymbol property)
    {
        string name = property.Name;
        string local = $"f{number}";
        ITypeSymbol type = property.Type;
        string full = Full(type);
        if (type is INamedTypeSymbol { IsGenericType: true } generic)
        {
            string definition = generic.ConstructedFrom.ToDisplayString();
            ITypeSymbol last = generic.TypeArguments[generic.TypeArguments.Length - 1];
            string element = Full(last);
            switch (definition)
            {
                case "System.Collections.Generic.IReadOnlyList<T>" when IsMessage(last):
                    return new(number, name, $"global::System.Collections.Generic.List<{element}>? {local} = null;", $"writer.WriteMessages({number}, {name});",
                        $"({local} ??= []).Add(reader.ReadMessage<{element}>());", List(local, element));
                case "System.Collections.Generic.IReadOnlyList<T>" when last.SpecialType == SpecialType.System_String:
                    return new(number, name, $"global::System.Collections.Generic.List<string>? {local} = null;", $"writer.WriteStrings({number}, {name});",
                        $"({local} ??= []).Add(reader.ReadString());", List(local, element));
                case "System.Collections.Generic.IReadOnlyList<T>" when Kind(last) is { } kind && last.TypeKind != TypeKind.Enum:
                    return new(number, name, $"global::System.Collections.Generic.List<{element}>? {local} = null;", $"writer.Write{kind}s({number}, {name});",
                        $"reader.Read{kind}s({local} ??= []);", List(local, element));
                case "System.Collections.Generic.IReadOnlyDictionary<TKey, TValue>" when generic.TypeArguments[0].SpecialType == SpecialType.System_String && ReadOne(last, "entry") is { } read:
                    string start = IsMessage(last) ? $"{element}? value = null;" : $"{element} value = {Default(last)};";
                    string value = IsMessage(last) ? $"value ?? {element}.Read(default)" : "value";
                    return new(number, name, $"global::System.Collections.Generic.Dictionary<string, {element}>? {local} = null;",
                        $"writer.WriteMap({number}, {name}, static (entry, value) => {WriteOne(last, "entry", 2, "value")});",
                        $"{{ var entry = reader.ReadEntry(); string key = \"\"; {start} while (entry.Next()) {{ switch (entry.Field) {{ case 1: key = entry.ReadString(); break; "
                            + $"case 2: value = {read}; break; default: entry.Skip(); break; }} }} ({local} ??= [])[key] = {value}; }}",
                        $"{local} is null ? global::System.Collections.ObjectModel.ReadOnlyDictionary<string, {element}>.Empty : {local}");
                case "System.ReadOnlyMemory<T>" when last.SpecialType == SpecialType.System_Byte:
                    return new(number, name, $"global::System.ReadOnlyMemory<byte> {local} = default;", $"writer.WriteBytes({number}, {name}.Span);",
                        $"{local} = reader.ReadBytes().ToArray();", local);
                case "System.Nullable<T>" when Kind(last) is { } && last.TypeKind != TypeKind.Enum:
                    return new(number, name, $"{element}? {local} = null;", WriteOne(last, "writer", number, name) + ";", $"{local} = {ReadOne(last, "reader")};", local);
                default:
                    return null;
            }
        }
        if (IsMessage(type))
        {
            return property.NullableAnnotation != NullableAnnotation.Annotated
                ? null
                : new(number, name, $"{full}? {local} = null;", $"writer.WriteMessage({number}, {name});", $"{local} = reader.ReadMessage<{full}>();", local);
        }
        return ReadOne(type, "reader") is not { } one
            ? null
            : new(number, name, $"{full} {local} = {Default(type)};", WriteOne(type, "writer", number, name) + ";", $"{local} = {one};", local);
    }

    private static string Full(ITypeSymbol type) => type.WithNullableAnnotation(NullableAnnotation.NotAnnotated).ToDisplayString(SymbolDisplayFormat.FullyQualifiedFormat);

    private static string List(string local, string element) => $"{local} is null ? global::System.Array.Empty<{element}>() : {local}";

    private static string Default(ITypeSymbol type) => type.SpecialType == SpecialType.System_String ? "\"\"" : "default";

    private static bool IsMessage(ITypeSymbol type) =>
        type.TypeKind == TypeKind.Class
        && (type.GetAttributes().Any(a => a.AttributeClass?.Name == "ProtoMessageAttribute") || type.AllInterfaces.Any(i => i.Name == "IProtoMessage"));

    private static string? Kind(ITypeSymbol type) => type.SpecialType switch
    {
        SpecialType.System_Boolean => "Bool",
        SpecialType.System_Int32 => "Int32",
        SpecialType.System_UInt32 => "UInt32",
        SpecialType.System_Int64 => "Int64",
        SpecialType.System_UInt64 => "UInt64",
        SpecialType.System_Double => "Double",
        SpecialType.System_String => "String",
        _ when type is INamedTypeSymbol { TypeKind: TypeKind.Enum, EnumUnderlyingType.SpecialType: SpecialType.System_Int32 } => "Int32",
        _ => null,
    };

    private static string WriteOne(ITypeSymbol type, string writer, int number, string value) =>
        IsMessage(type) ? $"{writer}.WriteMessage({number}, {value})"
        : type.TypeKind == TypeKind.Enum ? $"{writer}.WriteInt32({number}, (int){value})"
        : $"{writer}.Write{Kind(type)}({number}, {value})";

    private static string? ReadOne(ITypeSymbol type, string reader) =>
        IsMessage(type) ? $"{reader}.ReadMessage<{Full(type)}>()"
        : Kind(type) is not { } kind ? null
        : type.TypeKind == TypeKind.Enum ? $"({Full(type)}){reader}.ReadInt32()"
        : $"{reader}.Read{kind}()";
}
