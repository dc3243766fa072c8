using System.Collections;
using System.Collections.Immutable;
using System.Reflection;
using System.Runtime.CompilerServices;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;

namespace Cnvm.Tests.State;

/// <summary>
/// Makes records whose every property has a value of its own, so that an element that a declaration forgets is seen: it would come
/// back as its default.
/// </summary>
internal sealed class StateFiller
{
    private readonly Dictionary<Type, Func<object>> _special = new()
    {
        [typeof(CpuidTable)] = () => new CpuidTable(
        [
            new CpuidEntry { Leaf = 0, Eax = 0xd, Ebx = 2, Ecx = 3, Edx = 4 },
            new CpuidEntry { Leaf = 0xd, Subleaf = 1, HasSubleaf = true, Eax = 5, Ebx = 6, Ecx = 7, Edx = 8 },
        ]),
        [typeof(MpState)] = () => MpState.Halted,
        [typeof(MsrPolicy)] = () => MsrPolicy.Offer,
    };

    private uint _next = 1;

    /// <summary>Sets how values of a type are made.</summary>
    public StateFiller With<T>(Func<T> make)
        where T : notnull
    {
        _special[typeof(T)] = () => make();
        return this;
    }

    public T Fill<T>() => (T)Make(typeof(T), "");

    private object Make(Type type, string property)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (_special.TryGetValue(type, out Func<object>? make))
        {
            return make();
        }

        uint n = ++_next;
        if (type == typeof(bool))
        {
            return true;
        }

        if (type == typeof(string))
        {
            return $"text {n}";
        }

        if (type.IsEnum)
        {
            return Enum.ToObject(type, 1);
        }

        if (type.IsPrimitive)
        {
            // Below 128: fits every width and sign.
            return Convert.ChangeType((n % 127) + 1, type, null);
        }

        if (type == typeof(byte[]))
        {
            return Bytes(property);
        }

        if (type == typeof(ImmutableArray<byte>))
        {
            return ImmutableArray.Create(Bytes(property));
        }

        Type? item = type.IsArray ? type.GetElementType()
            : type.IsGenericType && type.GetGenericTypeDefinition() == typeof(ImmutableArray<>) ? type.GetGenericArguments()[0]
            : null;
        return item is null ? MakeRecord(type) : MakeList(type, item, property);
    }

    private static byte[] Bytes(string property) =>
        [.. Enumerable.Range(1, property switch { "Lapic" => 1024, "Xsave" => XsaveArea.MinBytes, "Cmos" => 128, "Config" => 256, _ => 3 }).Select(i => (byte)i)];

    private object MakeList(Type type, Type item, string property)
    {
        int count = property == "DebugAddresses" ? 4 : property == "Channels" ? 3 : 2;
        var array = Array.CreateInstance(item, count);
        for (int i = 0; i < count; i++)
        {
            array.SetValue(Make(item, property), i);
        }

        if (type.IsArray)
        {
            return array;
        }

        MethodInfo create = typeof(ImmutableArray).GetMethods()
            .First(m => m.Name == nameof(ImmutableArray.CreateRange) && m.GetParameters().Length == 1).MakeGenericMethod(item);
        return create.Invoke(null, [(IEnumerable)array])!;
    }

    private object MakeRecord(Type type)
    {
        object record = RuntimeHelpers.GetUninitializedObject(type);
        foreach (PropertyInfo property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.SetMethod is not null)
            {
                property.SetValue(record, Make(property.PropertyType, property.Name));
            }
        }

        return record;
    }
}
