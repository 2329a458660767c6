/** Names for invented customers, by language: as written, and in Latin letters for an address. */

export type SampleLanguage = 'en' | 'es' | 'de' | 'zh-Hans' | 'ar' | 'ru';

/** A name as written and its spelling in an address; equal but for case and accents where the script is Latin. */
export type SampleName = readonly [written: string, latin: string];

export interface SampleNames {
  readonly given: readonly SampleName[];
  readonly family: readonly SampleName[];
  /** How the two are put together. */
  readonly order: 'given-family' | 'family-given-joined';
}

/** `Written=latin` where they differ by more than case, accents and apostrophes. */
function names(text: string): readonly SampleName[] {
  return text
    .trim()
    .split(/\s+/)
    .map((entry) => {
      const [written = '', latin] = entry.split('=');
      return [written, latin ?? latinOf(written)];
    });
}

function latinOf(written: string): string {
  return written
    .toLowerCase()
    .replace(/ß/g, 'ss')
    .replace(/ä/g, 'ae')
    .replace(/ö/g, 'oe')
    .replace(/ü/g, 'ue')
    .normalize('NFD')
    .replace(/[^a-z]/g, '');
}

export const sampleNames: Readonly<Record<SampleLanguage, SampleNames>> = {
  en: {
    order: 'given-family',
    given: names(`
      James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard
      Susan Joseph Jessica Thomas Sarah Charles Karen Daniel Nancy Matthew Lisa Anthony Betty Mark
      Sandra Steven Ashley Paul Emily Andrew Kimberly Joshua Margaret Kenneth Donna Kevin Michelle
      Brian Carol George Amanda Timothy Melissa Ronald Deborah Jason Stephanie Edward Rebecca Ryan
      Laura Jacob Helen Gary Sharon Nicholas Cynthia Eric Kathleen Jonathan Amy Stephen Angela Priya
      Arjun Aisha Kwame Niamh Siobhan Rhys Callum Isla Freya`),
    family: names(`
      Smith Johnson Williams Brown Jones Davis Miller Wilson Moore Taylor Anderson Thomas Jackson White
      Harris Martin Thompson Walker Young Allen King Wright Scott Hill Green Adams Baker Nelson Carter
      Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards Collins Stewart Morris Rogers Reed
      Cook Morgan Bell Murphy Bailey Cooper Richardson Cox Howard Ward Peterson Gray Watson Brooks Kelly
      Sanders Price Bennett Wood Barnes Ross Henderson Coleman Jenkins Perry Powell Long Patterson Hughes
      O'Brien O'Connor O'Neill MacDonald Patel Singh Shah Okafor Mensah Nguyen Tran Whitfield Ashworth
      Pemberton Kingsley Hartley Bradshaw Thornton`),
  },
  es: {
    order: 'given-family',
    given: names(`
      María José Carmen Antonio Ana Manuel Isabel Francisco Laura David Cristina Javier Marta Daniel
      Lucía Carlos Elena Miguel Sara Alejandro Paula Rafael Raquel Pedro Beatriz Ángel Rosa Pablo Sofía
      Sergio Inés Fernando Natalia Jorge Andrea Luis Silvia Alberto Mónica Álvaro Begoña Iñigo Ximena
      Joaquín Valentina Martín Camila Sebastián`),
    family: names(`
      García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Ruiz
      Hernández Díaz Moreno Muñoz Álvarez Romero Alonso Gutiérrez Navarro Torres Domínguez Vázquez
      Ramos Gil Ramírez Serrano Blanco Molina Morales Suárez Ortega Delgado Castro Ortiz Rubio Marín
      Sanz Núñez Iglesias Medina Garrido Cortés Castillo Santos Lozano Guerrero Cano Prieto Ibáñez Peña`),
  },
  de: {
    order: 'given-family',
    given: names(`
      Anna Lukas Sophie Maximilian Marie Felix Lena Jonas Laura Paul Julia Tim Katharina Leon Lisa
      Florian Sabine Stefan Petra Andreas Monika Michael Ursula Thomas Claudia Jürgen Birgit Wolfgang
      Heike Matthias Franziska Sebastian Jörg Käthe Günther Ulrike Dieter Svenja Björn Anneliese Moritz
      Greta Emil Frieda Ömer Elif`),
    family: names(`
      Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer
      Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Werner
      Krause Lehmann Köhler Maier Huber Kaiser Fuchs Peters Lang Scholz Möller Weiß Jung Hahn Vogel
      Friedrich Keller Günther Berger Winkler Roth Beck Lorenz Baumann Yılmaz=yilmaz Groß Böhm`),
  },
  'zh-Hans': {
    order: 'family-given-joined',
    given: names(`
      伟=wei 芳=fang 娜=na 敏=min 静=jing 丽=li 强=qiang 磊=lei 军=jun 洋=yang 勇=yong 艳=yan 杰=jie 娟=juan
      涛=tao 明=ming 超=chao 秀英=xiuying 霞=xia 平=ping 刚=gang 桂英=guiying 建国=jianguo 志强=zhiqiang
      海燕=haiyan 晓明=xiaoming 雪梅=xuemei 文博=wenbo 子涵=zihan 雨欣=yuxin 浩然=haoran 思远=siyuan
      嘉怡=jiayi 俊杰=junjie 欣怡=xinyi 天宇=tianyu 梓萱=zixuan 明轩=mingxuan 佳琪=jiaqi 晨曦=chenxi`),
    family: names(`
      王=wang 李=li 张=zhang 刘=liu 陈=chen 杨=yang 黄=huang 赵=zhao 吴=wu 周=zhou 徐=xu 孙=sun 马=ma 朱=zhu
      胡=hu 郭=guo 何=he 林=lin 高=gao 罗=luo 郑=zheng 梁=liang 谢=xie 宋=song 唐=tang 许=xu 韩=han 冯=feng
      邓=deng 曹=cao 彭=peng 曾=zeng 肖=xiao 田=tian 董=dong 潘=pan 袁=yuan 蔡=cai 蒋=jiang 余=yu 于=yu
      杜=du 叶=ye 程=cheng 魏=wei 苏=su 吕=lv 丁=ding 任=ren 欧阳=ouyang 上官=shangguan`),
  },
  ar: {
    order: 'given-family',
    given: names(`
      محمد=mohammed أحمد=ahmed علي=ali فاطمة=fatima مريم=maryam عمر=omar خالد=khaled نور=nour سارة=sara
      يوسف=yousef إبراهيم=ibrahim ليلى=layla حسن=hassan حسين=hussein زينب=zainab عائشة=aisha سمير=samir
      طارق=tareq هدى=huda رانيا=rania كريم=karim ماجد=majed سلمى=salma ياسمين=yasmin وليد=waleed
      نادية=nadia رشيد=rashid أمل=amal بلال=bilal جمال=jamal دينا=dina منى=mona`),
    family: names(`
      المصري=elmasry الأحمد=alahmad حداد=haddad خوري=khoury منصور=mansour صالح=saleh حمدان=hamdan
      النجار=alnajjar الشامي=alshami بركات=barakat قاسم=qasim عباس=abbas سليمان=suleiman العلي=alali
      فارس=fares زيدان=zidan درويش=darwish الحسن=alhassan عثمان=othman مراد=murad شاهين=shaheen
      الخطيب=alkhatib رمضان=ramadan سعيد=saeed طه=taha بدران=badran عيسى=issa ناصر=nasser`),
  },
  ru: {
    order: 'given-family',
    given: names(`
      Александр=alexander Сергей=sergey Дмитрий=dmitry Андрей=andrey Алексей=alexey Иван=ivan
      Михаил=mikhail Николай=nikolay Владимир=vladimir Евгений=evgeny Максим=maxim Артём=artem
      Павел=pavel Роман=roman Денис=denis Игорь=igor Олег=oleg Юрий=yury Кирилл=kirill Виктор=viktor
      Антон=anton Илья=ilya Фёдор=fedor Григорий=grigory Константин=konstantin Никита=nikita
      Тимофей=timofey Глеб=gleb Лев=lev Матвей=matvey Вадим=vadim Станислав=stanislav`),
    family: names(`
      Иванов=ivanov Смирнов=smirnov Кузнецов=kuznetsov Попов=popov Васильев=vasiliev Петров=petrov
      Соколов=sokolov Михайлов=mikhailov Новиков=novikov Фёдоров=fedorov Морозов=morozov Волков=volkov
      Алексеев=alekseev Лебедев=lebedev Семёнов=semenov Егоров=egorov Павлов=pavlov Козлов=kozlov
      Степанов=stepanov Николаев=nikolaev Орлов=orlov Андреев=andreev Макаров=makarov Никитин=nikitin
      Захаров=zakharov Зайцев=zaitsev Соловьёв=solovyov Борисов=borisov Яковлев=yakovlev
      Григорьев=grigoriev Романов=romanov Воробьёв=vorobyov Щербаков=shcherbakov Жуков=zhukov
      Чернышёв=chernyshev Цветков=tsvetkov`),
  },
};
